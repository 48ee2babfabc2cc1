//! What a command can end with, and the exit code that says so.

use std::fmt;
use std::io;

use blemish::Error;

/// A command's result.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command did not do all it was asked to do.
#[derive(Debug)]
pub enum Failure {
    /// The library refused.
    Library(Error),
    /// The command line asks for something that cannot be meant.
    Usage(String),
    /// Some of the work could not be done; the results of the rest are printed.
    Partial {
        /// What is missing.
        message: String,
        /// The exit code.
        code: u8,
    },
    /// Something is defective, and `--fail-on-defect` was given.
    Defective,
    /// A folder is in use by another run.
    Busy(String),
    /// Stopped by Ctrl-C; says how to go on.
    Interrupted(String),
    /// Standard output cannot be written to.
    Output(io::Error),
}

/// What `--help` says about exit codes.
pub const EXIT_CODES: &str = "\
Results go to standard output, everything else to standard error.

Exit codes:
    0  done
    1  failed in some other way than the following
    2  the command line is wrong
    3  data or an image cannot be used
    4  a model file or checkpoint cannot be used
    5  the configuration is wrong
    6  a file or folder cannot be read or written, or another run is at work in it
   10  something is defective ('predict --fail-on-defect')
  130  interrupted (Ctrl-C)";

impl Failure {
    /// The exit code, as [`EXIT_CODES`] says.
    pub fn code(&self) -> u8 {
        match self {
            Self::Library(Error::Data { .. } | Error::Image { .. }) => 3,
            Self::Library(Error::Model { .. }) => 4,
            Self::Library(Error::Config { .. }) => 5,
            Self::Library(Error::Io { .. }) | Self::Busy(_) => 6,
            Self::Library(Error::Interrupted) | Self::Interrupted(_) => 130,
            Self::Library(_) => 1,
            Self::Usage(_) => 2,
            Self::Partial { code, .. } => *code,
            Self::Defective => 10,
            Self::Output(_) if self.is_closed() => 0,
            Self::Output(_) => 6,
        }
    }

    /// The same, but an interruption says what to do next.
    pub fn with_next(self, next: impl FnOnce() -> String) -> Self {
        match self {
            Self::Library(Error::Interrupted) => Self::Interrupted(next()),
            other => other,
        }
    }

    /// Whether nothing is left to be said: the summary did, or the reader of the results went away, as `head` does.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Defective) || self.is_closed()
    }

    /// Whether the reader of the results went away, as `head` does.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => error.fmt(f),
            Self::Usage(message) | Self::Partial { message, .. } | Self::Busy(message) => {
                f.write_str(message)
            }
            Self::Interrupted(next) => write!(f, "interrupted; {next}"),
            Self::Defective => f.write_str("something is defective"),
            Self::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}
