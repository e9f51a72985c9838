//! Why a command line is not read or not edited.

use super::Form;
use crate::base::HostPath;

/// Why a command line is not read or not edited. The file is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// A form that is recognised and left alone.
    #[error("{form} is left alone: {why}")]
    Declined {
        /// The form.
        form: Form,
        /// Why.
        why: &'static str,
    },
    /// The text is not what it should be, or is more than is understood.
    #[error("line {line}: {what}")]
    NotUnderstood {
        /// The line, from 1.
        line: usize,
        /// What stands there, as a sentence without its stop.
        what: String,
    },
    /// There is no file that could be added to.
    #[error(
        "there is no such file, and one with nothing but these arguments \
         would not start the host"
    )]
    Absent,
    /// The file holds no command line that could be added to.
    #[error("it holds no command line")]
    Empty,
    /// The name is not one that can be set.
    #[error("{0:?} is not the name of an argument that can be set")]
    Name(String),
    /// The value would not come through.
    #[error(
        "{0:?} is not a value that comes through shells and boot loaders as \
         it is"
    )]
    Value(String),
    /// What makes the argument is shared with something else.
    #[error(
        "{0} cannot be changed alone: a part of it comes from a variable or \
         is used twice"
    )]
    Shared(String),
    /// Whatever is added would be part of a value.
    #[error("a quotation mark of the command line is not closed")]
    Unclosed,
    /// The kernel would not heed a second number for one size.
    #[error(
        "hugepages={0} stands there without a size, and the kernel takes no \
         second number for its default size: write its hugepagesz= before it"
    )]
    Sizeless(String),
    /// The block is of one size, and full.
    #[error("it does not fit the 1024 bytes that the file has")]
    Full,
    /// The edit would have changed what it was not asked to change.
    #[error("{0} would change as well")]
    NotAlone(String),
    /// The new argument is set and does not come through.
    #[error("{0} would not reach the kernel as it is set")]
    Lost(String),
    /// One of several files is at fault.
    #[error("reading {file}")]
    File {
        /// The file.
        file: HostPath,
        /// What is wrong with it.
        #[source]
        source: Box<BootError>,
    },
    /// No file takes arguments that vmtune may write.
    #[error("no file that vmtune may write takes arguments: {0}")]
    NoFile(String),
    /// What makes the file take effect is not there.
    #[error("{0} is not made effective by a program that vmtune knows")]
    NoProgram(HostPath),
    /// A generated menu does not show what the host will start.
    #[error("the menu does not tell what it will start: {0}")]
    Menu(&'static str),
}
