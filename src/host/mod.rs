//! The only part of the core that touches files, the clock, the environment and the operating system. Thin: it fetches
//! facts and writes bytes; what they mean is decided by the pure modules.

pub mod clock;
pub mod datafile;
pub mod files;
pub mod instance;
pub mod journal;
pub mod lock;
pub mod log_lines;
pub mod machine;
pub mod mark;
pub mod os;
pub mod output;
pub mod own_names;
pub mod paths;
pub mod record;
pub mod registry;
pub mod terminal;
pub mod volume;
