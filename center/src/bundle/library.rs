//! A library file of the component: which system it is for, as its own header says, and what else can be told from its bytes.

use std::fmt;

/// Operating system as MANIFEST.XML names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    /// ELF.
    Linux,
    /// Mach-O: MacOS.
    Apple,
    /// PE.
    Windows,
}

/// Processor as MANIFEST.XML names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit ARM.
    Arm64,
    /// Elbrus.
    E2k,
    /// 32-bit Intel.
    I386,
    /// 64-bit Intel.
    X86_64,
}

/// What a library is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The system.
    pub os: Os,
    /// The processor.
    pub arch: Arch,
}

impl Os {
    /// The word of MANIFEST.XML.
    pub fn word(self) -> &'static str {
        match self {
            Os::Linux => "Linux",
            Os::Apple => "MacOS",
            Os::Windows => "Windows",
        }
    }

    /// What libraries of the system end with.
    pub fn extension(self) -> &'static str {
        match self {
            Os::Linux => "so",
            Os::Apple => "dylib",
            Os::Windows => "dll",
        }
    }
}

impl Arch {
    /// The word of MANIFEST.XML.
    pub fn word(self) -> &'static str {
        match self {
            Arch::Arm64 => "ARM64",
            Arch::E2k => "E2K",
            Arch::I386 => "i386",
            Arch::X86_64 => "x86_64",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.os.word(), self.arch.word())
    }
}

impl Target {
    /// What the header of a library says; `None` for what is none, or for a system that is not known here.
    ///
    /// ELF: `e_machine` at 18. PE: the machine behind the signature, whose place stands at 60. Mach-O: the kind of processor at 4.
    pub fn of(library: &[u8]) -> Option<Target> {
        let target = |os, arch| Some(Target { os, arch });
        if library.starts_with(b"\x7fELF") {
            return target(
                Os::Linux,
                match number(library, 18)? {
                    3 => Arch::I386,
                    62 => Arch::X86_64,
                    175 => Arch::E2k,
                    183 => Arch::Arm64,
                    _ => return None,
                },
            );
        }
        if library.starts_with(b"MZ") {
            let header = usize::from(number(library, 60)?) | usize::from(number(library, 62)?) << 16;
            let machine = library.get(header..)?.strip_prefix(b"PE\0\0")?;
            return target(
                Os::Windows,
                match number(machine, 0)? {
                    0x014C => Arch::I386,
                    0x8664 => Arch::X86_64,
                    0xAA64 => Arch::Arm64,
                    _ => return None,
                },
            );
        }
        let processor = library.strip_prefix(&[0xCF, 0xFA, 0xED, 0xFE])?;
        match (number(processor, 0)?, number(processor, 2)?) {
            (7, 0x0100) => target(Os::Apple, Arch::X86_64),
            (12, 0x0100) => target(Os::Apple, Arch::Arm64),
            _ => None,
        }
    }
}

/// A little-endian number of two bytes.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes))
}

/// Functions that 1C looks for in a library, of which this one names none: the names stand in its tables, with a zero behind.
pub fn missing_exports(library: &[u8]) -> Vec<&'static str> {
    let names = ["GetClassNames\0", "GetClassObject\0", "DestroyObject\0"];
    let missing = names.into_iter().filter(|name| !holds(library, name.as_bytes()));
    missing.map(|name| name.trim_end_matches('\0')).collect()
}

/// Whether some bytes stand in a library.
pub fn holds(library: &[u8], wanted: &[u8]) -> bool {
    let Some((first, _)) = wanted.split_first() else { return true };
    let mut rest = library;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(wanted) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The newest version of glibc whose functions a library asks for: `(2, 34)`.
pub fn needed_glibc(library: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_2.";
    let places = library.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    let minor = places.filter_map(|(at, _)| {
        let digits: String = library[at + MARK.len()..]
            .iter()
            .take(3)
            .take_while(|b| b.is_ascii_digit())
            .map(|b| char::from(*b))
            .collect();
        digits.parse().ok()
    });
    minor.max().map(|minor| (2, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_target() {
        let elf = |machine: u8| [&b"\x7fELF\x02\x01\x01"[..], &[0; 11], &[machine, 0]].concat();
        let mut pe = b"MZ".to_vec();
        pe.resize(60, 0);
        pe.extend([0x80, 0, 0, 0]);
        pe.resize(0x80, 0);
        pe.extend(b"PE\0\0\x64\x86");
        let told = |bytes: &[u8]| Target::of(bytes).map(|target| target.to_string());
        assert_eq!(told(&elf(62)).as_deref(), Some("Linux x86_64"));
        assert_eq!(told(&elf(3)).as_deref(), Some("Linux i386"));
        assert_eq!(told(&pe).as_deref(), Some("Windows x86_64"));
        assert_eq!(told(b"\xCF\xFA\xED\xFE\x0C\0\0\x01").as_deref(), Some("MacOS ARM64"));
        for bytes in [&b""[..], b"\x7fELF", &elf(99), b"MZ", &pe[..pe.len() - 1], b"#!/bin/sh"] {
            assert_eq!(told(bytes), None);
        }
        let mut far = pe.clone();
        far[60..64].fill(0xFF);
        assert_eq!(told(&far), None);
    }

    #[test]
    fn names_of_functions_and_of_glibc_are_found() {
        assert_eq!(missing_exports(b"\0GetClassNames\0GetClassObjects\0DestroyObject\0"), ["GetClassObject"]);
        assert_eq!(needed_glibc(b"GLIBC_2.17\0GLIBC_2.4\0GLIBC_2.2.5\0"), Some((2, 17)));
        assert_eq!(needed_glibc(b"GLIBC_PRIVATE GLIBC_2."), None);
        assert!(holds(b"aab", b"ab") && !holds(b"aa", b"ab") && holds(b"", b""));
    }
}
