//! Standard output and error: how wide they are, and whether they have colour.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;

use super::args::When;
use super::report::{BAD, BOLD, FAINT, GOOD, Page};

/// Where a command prints. What programs read goes to standard output, the
/// rest to standard error.
#[derive(Debug)]
pub struct Screen {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    /// Columns of standard output.
    width: usize,
    terminal: bool,
}

impl Screen {
    /// Columns where there is no terminal to ask.
    const WIDTH: usize = 80;
    /// Fewer cannot hold a table; the terminal will wrap.
    const NARROWEST: usize = 40;
    /// Longer lines are hard to read.
    const WIDEST: usize = 132;

    /// Takes the process's own streams.
    #[must_use]
    pub fn of_process(color: When) -> Self {
        match color {
            When::Auto => {}
            When::Always => ColorChoice::Always.write_global(),
            When::Never => ColorChoice::Never.write_global(),
        }
        let width = terminal_size::terminal_size()
            .map_or(Self::WIDTH, |(width, _)| usize::from(width.0));
        let terminal = io::stdout().is_terminal();
        Self {
            out: AutoStream::auto(io::stdout()),
            err: AutoStream::auto(io::stderr()),
            width: if terminal { width } else { Self::WIDTH }
                .clamp(Self::NARROWEST, Self::WIDEST),
            terminal,
        }
    }

    /// Starts a page as wide as standard output.
    #[must_use]
    pub fn page(&self) -> Page {
        Page::new(self.width)
    }

    /// Prints on standard output.
    ///
    /// # Errors
    /// When it cannot be written, a broken pipe among the reasons.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Prints for programs: byte for byte, whatever the colour.
    ///
    /// # Errors
    /// When it cannot be written, a broken pipe among the reasons.
    pub fn print_raw(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints on standard error. That this fails cannot be said anywhere.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.err, "{}", text.trim_end());
    }

    /// Prints a labelled line on standard error, wrapped.
    pub fn complain(&mut self, label: &str, text: &str) {
        let style = match label {
            "error" => BAD,
            "hint" => GOOD,
            "warning" => BOLD,
            _ => FAINT,
        };
        let mut page = self.page();
        let spans = [(style, format!("{label}:")), (Style::new(), text.into())];
        page.flow("", "  ", &spans);
        self.say(&page.into_text());
    }

    /// Returns whether there is somebody to ask.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question that only `y` and `yes` agree to.
    pub fn ask(&mut self, question: &str) -> bool {
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        // An answer that cannot be read is none.
        let _ = io::stdin().read_line(&mut answer);
        let answer = answer.trim().to_lowercase();
        answer == "y" || answer == "yes"
    }

    /// Returns whether standard output is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }
}
