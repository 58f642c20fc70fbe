//! A lock on an open file.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;

/// An open file that this process has locked, given up when it is dropped and by the system when the process ends.
///
/// It is `flock` on Linux and `LockFileEx` on Windows: both belong to the open file, so closing another handle of the same file doesn't
/// give it up. A child that is being started has a copy of the handle for a moment, which would keep the lock
/// after the file was closed here: so it is given up by name.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks `file`; gives it back while another handle has the lock.
    pub fn take(file: File) -> io::Result<Result<Lock, File>> {
        match file.try_lock() {
            Ok(()) => Ok(Ok(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(file)),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl Deref for Lock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file does the same where nobody has a copy of the handle.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_handle_does_not_keep_a_lock_that_was_given_up() {
        let path = std::env::temp_dir().join(format!("slk-lock-{}", std::process::id()));
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let held = Lock::take(open()).unwrap().unwrap();
        let copy = held.try_clone().unwrap();
        assert!(Lock::take(open()).unwrap().is_err());
        drop(held);
        assert!(Lock::take(open()).unwrap().is_ok());
        drop(copy);
        std::fs::remove_file(&path).unwrap();
    }
}
