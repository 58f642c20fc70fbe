//! Trust anchors behind the end of the component's library file: how a vendor brands a library, of which 1C unpacks nothing but
//! the file itself. Pure: reads and writes bytes. `docs/formats.md`.

use crate::crypto::Crypto;
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, RootHash, SeriesId};

/// Begins a trailer, and stands before its length at the very end of the file.
const MAGIC: [u8; 8] = *b"SLKTRUST";
const VERSION: u16 = 1;
const HEADER: usize = MAGIC.len() + 2 + 2;
const ANCHOR: usize = 2 + 32;
const CHECKSUM: usize = 32;
const END: usize = MAGIC.len() + 4;
/// Most anchors of one library.
pub const MAX_ANCHORS: usize = 1000;
/// Longest trailer, in bytes: so much of the end of a file must be looked at.
pub const MAX_LENGTH: usize = HEADER + MAX_ANCHORS * ANCHOR + CHECKSUM + END;

/// The anchors of a branded library: one root for each number of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer(Vec<SeriesId>);

impl Trailer {
    /// A trailer of these anchors, at least one and each number once. `place` names them in errors.
    pub fn new(place: &str, mut anchors: Vec<SeriesId>) -> Result<Trailer> {
        let broken = |cause: String| Error::new(Code::TrailerBroken).with(place).with(cause);
        anchors.sort_unstable();
        anchors.dedup();
        if let Some(pair) = anchors.windows(2).find(|pair| pair[0].key_id == pair[1].key_id) {
            return Err(broken(format!("two roots for {}", pair[0].key_id)));
        }
        match anchors.len() {
            1..=MAX_ANCHORS => Ok(Trailer(anchors)),
            count => Err(broken(format!("{count} anchors"))),
        }
    }

    /// The anchors, in order of their numbers.
    pub fn anchors(&self) -> &[SeriesId] {
        &self.0
    }

    /// The root of a series.
    pub fn root(&self, key_id: KeyId) -> Option<RootHash> {
        self.0.iter().find(|anchor| anchor.key_id == key_id).map(|anchor| anchor.root)
    }

    /// The bytes to append to a library.
    pub fn write(&self, crypto: &dyn Crypto) -> Vec<u8> {
        let length = HEADER + self.0.len() * ANCHOR + CHECKSUM + END;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        // Bounded when it was made.
        bytes.extend((self.0.len() as u16).to_be_bytes());
        for anchor in &self.0 {
            bytes.extend(anchor.key_id.0.to_be_bytes());
            bytes.extend(anchor.root.0);
        }
        bytes.extend(crypto.sha256(&[&bytes]));
        bytes.extend(MAGIC);
        bytes.extend((length as u32).to_be_bytes());
        bytes
    }

    /// Reads the trailer of a file whose last bytes are `tail`: all of the file, or at least [`MAX_LENGTH`] of it. `None` when it
    /// has none; [`Code::TrailerBroken`] when what ends it is no whole trailer.
    pub fn read(crypto: &dyn Crypto, place: &str, tail: &[u8]) -> Result<Option<Trailer>> {
        let Some(length) = length(tail) else { return Ok(None) };
        let broken = |cause: &str| Error::new(Code::TrailerBroken).with(place).with(cause);
        let start = tail.len().checked_sub(length).ok_or_else(|| broken("length"))?;
        let bytes = &tail[start..];
        let (body, rest) =
            bytes.len().checked_sub(CHECKSUM + END).map(|at| bytes.split_at(at)).ok_or_else(|| broken("length"))?;
        let (header, anchors) = body.split_at_checked(HEADER).ok_or_else(|| broken("length"))?;
        let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[..MAGIC.len()] != MAGIC {
            return Err(broken("beginning"));
        }
        if number(MAGIC.len()) != VERSION {
            return Err(broken(&format!("version {}", number(MAGIC.len()))));
        }
        if rest[..CHECKSUM] != crypto.sha256(&[body]) {
            return Err(broken("checksum"));
        }
        let (anchors, left) = anchors.as_chunks::<ANCHOR>();
        if !left.is_empty() || anchors.len() != usize::from(number(MAGIC.len() + 2)) {
            return Err(broken("number of anchors"));
        }
        let anchor = |bytes: &[u8; ANCHOR]| {
            let mut root = [0; 32];
            root.copy_from_slice(&bytes[2..]);
            SeriesId { key_id: KeyId(u16::from_be_bytes([bytes[0], bytes[1]])), root: RootHash(root) }
        };
        Trailer::new(place, anchors.iter().map(anchor).collect()).map(Some)
    }

    /// The library without its trailer, whole or broken; a length that is beyond the file cuts nothing.
    pub fn strip(library: &[u8]) -> &[u8] {
        let end = length(library).and_then(|length| library.len().checked_sub(length));
        end.map_or(library, |end| &library[..end])
    }
}

/// The length that the end of a file names, if that is the end of a trailer.
fn length(tail: &[u8]) -> Option<usize> {
    let (rest, length) = tail.split_last_chunk::<4>()?;
    rest.ends_with(&MAGIC).then(|| usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::ring::PROVIDER;

    fn anchor(key_id: u16, root: u8) -> SeriesId {
        SeriesId { key_id: KeyId(key_id), root: RootHash([root; 32]) }
    }

    fn read(bytes: &[u8]) -> Result<Option<Trailer>> {
        Trailer::read(&PROVIDER, "library", bytes)
    }

    fn branded() -> Vec<u8> {
        let trailer = Trailer::new("test", vec![anchor(0x672B, 1), anchor(0x10, 2)]).unwrap();
        [&b"\x7fELF code"[..], &trailer.write(&PROVIDER)].concat()
    }

    #[test]
    fn the_layout_is_that_of_the_document() {
        let bytes = Trailer::new("test", vec![anchor(0x672B, 1)]).unwrap().write(&PROVIDER);
        let body = [&b"SLKTRUST\x00\x01\x00\x01\x67\x2B"[..], &[1; 32]].concat();
        let expected = [&body, &PROVIDER.sha256(&[&body])[..], b"SLKTRUST", &90_u32.to_be_bytes()].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_library_without_a_trailer_has_no_anchor() {
        for bytes in [&b""[..], b"\x7fELF", b"SLKTRUST", &[0; 100]] {
            assert_eq!(read(bytes).unwrap(), None);
            assert_eq!(Trailer::strip(bytes), bytes);
        }
    }

    #[test]
    fn a_number_with_two_roots_is_no_trailer() {
        let twice = Trailer::new("test", vec![anchor(1, 1), anchor(1, 1)]).unwrap();
        assert_eq!(twice.anchors(), [anchor(1, 1)]);
        assert_eq!(Trailer::new("test", vec![anchor(1, 1), anchor(1, 2)]).unwrap_err().code, Code::TrailerBroken);
        assert_eq!(Trailer::new("test", Vec::new()).unwrap_err().code, Code::TrailerBroken);
        let many = (0..=1000).map(|key_id| anchor(key_id, 1)).collect();
        assert_eq!(Trailer::new("test", many).unwrap_err().code, Code::TrailerBroken);
    }

    #[test]
    fn each_changed_byte_of_a_trailer_breaks_it_or_leaves_none() {
        let library = branded();
        let start = Trailer::strip(&library).len();
        for at in start..library.len() {
            let mut bytes = library.clone();
            bytes[at] ^= 0x20;
            let read = read(&bytes);
            assert!(read.is_err() || read == Ok(None), "byte {at}: {read:?}");
            assert_eq!(read.is_err(), at < library.len() - END || at >= library.len() - 4, "byte {at}");
        }
    }

    #[test]
    fn a_trailer_that_lost_its_beginning_is_broken() {
        let library = branded();
        let tail = &library[library.len() - 40..];
        assert_eq!(read(tail).unwrap_err().code, Code::TrailerBroken);
        assert_eq!(Trailer::strip(tail), tail);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_behind_any_library(
            code in prop::collection::vec(any::<u8>(), 0..200),
            anchors in prop::collection::btree_map(any::<u16>(), any::<u8>(), 1..40),
        ) {
            let anchors: Vec<SeriesId> = anchors.into_iter().map(|(key_id, root)| anchor(key_id, root)).collect();
            let trailer = Trailer::new("test", anchors.clone()).unwrap();
            let library = [&code[..], &trailer.write(&PROVIDER)].concat();
            prop_assert_eq!(read(&library).unwrap(), Some(trailer.clone()));
            prop_assert_eq!(Trailer::strip(&library), &code[..]);
            prop_assert!(anchors.iter().all(|anchor| trailer.root(anchor.key_id) == Some(anchor.root)));
        }

        #[test]
        fn no_end_of_a_file_makes_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in any::<u32>(),
            short in 0..300_u32,
        ) {
            for length in [length, short] {
                let tail = [&bytes[..], &MAGIC, &length.to_be_bytes()].concat();
                let _ = read(&tail);
                let _ = Trailer::strip(&tail);
            }
            let _ = read(&bytes);
        }
    }
}
