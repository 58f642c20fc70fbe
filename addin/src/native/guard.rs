//! The panic boundary: no panic of ours may reach the host, where it would end the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; a panic is logged, and told to the caller as its text.
///
/// Asserts unwind safety: a component's state is behind a lock that a panic releases, and the contract of
/// `Component` is that it stays usable.
pub fn catch<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = describe(payload);
        log::error!("panic in the component: {text}");
        text
    })
}

/// Runs an entry point; a panic gives `default`.
pub fn entry<R>(default: R, body: impl FnOnce() -> R) -> R {
    catch(body).unwrap_or(default)
}

fn describe(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                // A foreign payload could panic once more when dropped.
                std::mem::forget(payload);
                "unknown".to_owned()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("panic in a panic's payload");
        }
    }

    #[test]
    fn every_kind_of_panic_is_caught() {
        assert!(entry(false, || true));
        assert_eq!(catch(|| -> () { panic!("plain") }), Err("plain".to_owned()));
        assert_eq!(catch(|| -> () { panic!("number {}", 5) }), Err("number 5".to_owned()));
        assert_eq!(catch(|| -> () { std::panic::panic_any(Mine) }), Err("unknown".to_owned()));
        assert_eq!(entry(7, || panic!("default")), 7);
    }
}
