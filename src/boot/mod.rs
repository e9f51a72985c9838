//! The kernel's command line in the files that keep it for the next boot:
//! reading it and editing it, not a byte besides.
//!
//! Text to text: which files there are, and what has to be run after they
//! changed, is for others to know.
