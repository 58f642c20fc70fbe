//! Records of the log, one line each: whatever is said in a record, no line is forged by it and no terminal steered.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{Config, SharedLogger, WriteLogger};

use crate::printable;

/// A logger that writes records of `level` and above to `writable`, each as one line.
pub fn logger<W: Write + Send + 'static>(level: LevelFilter, config: Config, writable: W) -> Box<dyn SharedLogger> {
    Box::new(LineLogger(WriteLogger::new(level, config, writable)))
}

struct LineLogger(Box<dyn SharedLogger>);

impl Log for LineLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let said = record.args().to_string();
        let mut line = Record::builder();
        line.metadata(record.metadata().clone());
        line.module_path(record.module_path()).file(record.file()).line(record.line());
        self.0.log(&line.args(format_args!("{}", printable::line(&said))).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

impl SharedLogger for LineLogger {
    fn level(&self) -> LevelFilter {
        self.0.level()
    }

    fn config(&self) -> Option<&Config> {
        self.0.config()
    }

    fn as_log(self: Box<Self>) -> Box<dyn Log> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let written = Written::default();
        let logger = logger(LevelFilter::Info, Config::default(), written.clone());
        let name = "x\n2031-01-01T00:00:00Z [ERROR] forged \u{1b}[31m\u{9b}0m\u{202e}";
        logger.log(&Record::builder().level(log::Level::Warn).args(format_args!("{name}")).build());
        logger.log(&Record::builder().level(log::Level::Debug).args(format_args!("not wanted")).build());
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("[WARN]") && text.ends_with("forged \\u{1b}[31m\\u{9b}0m\\u{202e}\n"), "{text:?}");
    }
}
