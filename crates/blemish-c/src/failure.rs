//! What a call gives when it fails: a status, and a message for the calling thread.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use blemish::Error;

/// Whether a call did what it was asked for; every other than `OK` has a message, see `blemish_last_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum BlemishStatus {
    /// It did.
    Ok = 0,
    /// An argument cannot be used: a null pointer, a value out of range, text that is no UTF-8, a struct of unknown size.
    Argument = 1,
    /// A model or prediction that was freed already, or never was one.
    Handle = 2,
    /// The image buffer: no pixels, too few bytes for its size, a stride shorter than a row, an unknown format.
    Image = 3,
    /// A setting cannot be used.
    Config = 4,
    /// The operating system refused to read or write a file.
    Io = 5,
    /// The file or memory holds no model that can be used.
    Model = 6,
    /// A data set cannot be used.
    Data = 7,
    /// A fault of the library itself; the process and all other handles can still be used.
    Internal = 8,
}

/// Why a call fails.
#[derive(Debug)]
pub struct Failure {
    /// What is returned.
    pub status: BlemishStatus,
    /// What `blemish_last_error` says.
    pub message: String,
}

impl Failure {
    /// A failure with a message.
    pub fn new(status: BlemishStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Config { field, .. } if field == "image" || field == "stride" => BlemishStatus::Image,
            Error::Config { .. } => BlemishStatus::Config,
            Error::Io { .. } => BlemishStatus::Io,
            Error::Image { .. } => BlemishStatus::Image,
            Error::Data { .. } => BlemishStatus::Data,
            Error::Model { .. } => BlemishStatus::Model,
            _ => BlemishStatus::Internal,
        };
        Self::new(status, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Does `work`, keeps the message of its failure, and lets no panic out.
pub fn guard(work: impl FnOnce() -> Result<(), Failure>) -> BlemishStatus {
    // What a panic leaves half done is dropped with the closure; tables and locks recover from poisoning.
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return BlemishStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(BlemishStatus::Internal, format!("internal error: {}", said(&*panic))),
    };
    keep(failure.message);
    failure.status
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn keep(message: String) {
    let mut bytes = message.into_bytes();
    bytes.retain(|&byte| byte != 0);
    // While a thread ends its message is gone already: nobody can read it either.
    let _ = LAST.try_with(|last| last.replace(CString::new(bytes).unwrap_or_default()));
}

/// The calling thread's message, until its next failure.
pub fn last() -> *const c_char {
    const NONE: &CStr = c"";
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(NONE.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> String {
        LAST.with(|last| last.borrow().to_string_lossy().into_owned())
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let status = guard(|| panic!("the {}th row", 5));
        assert_eq!((status, message()), (BlemishStatus::Internal, "internal error: the 5th row".to_owned()));
        assert_eq!(guard(|| std::panic::panic_any(7)), BlemishStatus::Internal);
        assert_eq!(message(), "internal error: no message");
    }

    #[test]
    fn messages_stay_with_their_thread_and_lose_zero_bytes() {
        assert_eq!(guard(|| Err(Failure::new(BlemishStatus::Image, "a\0b"))), BlemishStatus::Image);
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(message(), "")));
        assert_eq!(guard(|| Ok(())), BlemishStatus::Ok);
        assert_eq!(message(), "ab", "kept until the next failure");
    }

    #[test]
    fn every_kind_of_error_has_its_status() {
        let status = |error: Error| Failure::from(error).status;
        assert_eq!(status(Error::config("stride", "")), BlemishStatus::Image);
        assert_eq!(status(Error::config("score.fpr", "")), BlemishStatus::Config);
        assert_eq!(status(Error::model("x", "")), BlemishStatus::Model);
        assert_eq!(status(Error::io("x", std::io::ErrorKind::NotFound.into())), BlemishStatus::Io);
    }
}
