//! The one version of every program, and how versions compare.

/// The version of this build: `3.0.100.<build number>`, stamped by `build.rs`.
pub const VERSION: &str = env!("SLK_VERSION");

/// The operating system as the guide names it: `Linux` or `Windows`.
pub const OS: &str = if cfg!(windows) { "Windows" } else { "Linux" };

/// The width of the process as the guide names it: `x86_64`, `i386`, or the architecture's own name.
pub const CPU: &str = if cfg!(target_arch = "x86") { "i386" } else { std::env::consts::ARCH };

/// The value of the `Licence-ServerVersion` header: `3.0.100.0,Linux,x86_64`.
pub const SERVER_VERSION: &str = concat_version();

const fn concat_version() -> &'static str {
    if cfg!(windows) {
        if cfg!(target_arch = "x86") {
            concat!(env!("SLK_VERSION"), ",Windows,i386")
        } else {
            concat!(env!("SLK_VERSION"), ",Windows,x86_64")
        }
    } else if cfg!(target_arch = "x86") {
        concat!(env!("SLK_VERSION"), ",Linux,i386")
    } else if cfg!(target_arch = "aarch64") {
        concat!(env!("SLK_VERSION"), ",Linux,aarch64")
    } else {
        concat!(env!("SLK_VERSION"), ",Linux,x86_64")
    }
}

/// Whether version `ours` is at least `required`, compared number by number; missing parts count as zero.
///
/// `None` when either text is not 1 to 4 decimal numbers separated by dots.
pub fn at_least(ours: &str, required: &str) -> Option<bool> {
    Some(numbers(ours)? >= numbers(required)?)
}

fn numbers(text: &str) -> Option<[u32; 4]> {
    let mut parts = [0; 4];
    for (at, part) in text.trim().split('.').enumerate() {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *parts.get_mut(at)? = part.parse().ok()?;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_number_by_number() {
        assert_eq!(at_least("3.0.100.0", "3.0.14"), Some(true));
        assert_eq!(at_least("3.0.100.0", "3.0.18.8054"), Some(true));
        assert_eq!(at_least("3.0.9", "3.0.10"), Some(false));
        assert_eq!(at_least("3.0", "3.0.0.0"), Some(true));
    }

    #[test]
    fn a_text_that_is_no_version_is_no_answer() {
        for text in ["", "3..1", "3.0.x", "1.2.3.4.5", "-1", "99999999999"] {
            assert_eq!(at_least(VERSION, text), None, "{text}");
        }
    }

    #[test]
    fn the_server_header_names_version_system_and_width() {
        assert_eq!(SERVER_VERSION, format!("{VERSION},{OS},{CPU}"));
        assert!(VERSION.starts_with("3.0.100."));
    }
}
