//! Panics of the proofs library: caught with their message and backtrace, never shown raw.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic, as far as it could be learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    pub message: String,
    pub backtrace: String,
}

thread_local! {
    /// What the hook saw on this thread last.
    static LAST: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// Makes panics log one line and keep their backtrace for [`caught`]. Called once, at start.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        let text = message(info.payload());
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panic: {text}");
        let backtrace = format!("at {at}\n{}", Backtrace::force_capture());
        LAST.with(|last| *last.borrow_mut() = Some(Caught { message: text, backtrace }));
    }));
}

/// Runs `work`, and gives back its panic instead of letting it through.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    LAST.with(|last| last.borrow_mut().take());
    // Nothing that `work` changed is used after its panic: a failed attempt is begun anew.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = message(&*payload);
        let seen = LAST.with(|last| last.borrow_mut().take());
        // A panic on a pool's thread comes over with its payload, not with its backtrace.
        seen.unwrap_or_else(|| Caught { message: text, backtrace: String::new() })
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_message_whatever_its_type() {
        let text = caught(|| panic!("plain")).unwrap_err().message;
        assert_eq!(text, "plain");
        let text = caught(|| panic!("with {}", 1)).unwrap_err().message;
        assert_eq!(text, "with 1");
        assert_eq!(caught(|| 5), Ok(5));
    }
}
