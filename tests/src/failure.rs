//! Why something did not happen, as a sentence: tests and the demonstration end with it.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sentence.
pub struct Failure(String);

/// Result of a step.
pub type Outcome<T = ()> = Result<T, Failure>;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Failure {
    /// A sentence.
    pub fn new(sentence: impl Into<String>) -> Failure {
        Failure(sentence.into())
    }
}

/// Fails with a sentence.
pub fn fail<T>(sentence: impl Into<String>) -> Outcome<T> {
    Err(Failure(sentence.into()))
}

/// Fails with a sentence unless the condition holds.
pub fn check(condition: bool, sentence: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { fail(sentence()) }
}

/// Waits until something is so.
pub fn until(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> Outcome {
    let begun = Instant::now();
    while !holds()? {
        check(begun.elapsed() < PATIENCE, || format!("waited in vain: {what}"))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
