//! Why a container could not be read or built: the place, its offset and what is wrong there.
//! Texts never contain the content of a document.

use std::fmt;

/// A failure to read or build a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The part of the file, from the outside in: `entry "root"`, `entry "….0": page map`.
    pub place: String,
    /// Byte offset of the fault from the start of the innermost container named by `place`, where one is known.
    pub offset: Option<usize>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong at the place that an [`Error`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The file starts with neither signature: `ff ff ff 7f`, or eight times `ff`.
    NotAContainer,
    /// Another container follows, and nothing tells which one counts.
    ContainerBehind,
    /// The file ends before the block or field does.
    Truncated,
    /// The bytes of a block header are not what they should be.
    BlockHeader,
    /// Chains of blocks hold more bytes than the file: they overlap or form a cycle.
    Overlap,
    /// The chain of blocks ends before the size that its first block announces.
    ShortChain,
    /// A row of the page map is damaged.
    PageMapRow,
    /// The attributes are too short, or the name is not UTF-16.
    Attributes,
    /// A name that the container can't hold: it has a zero character.
    EntryName,
    /// The container would pass the limit of its addresses, with those of 32 bits 2 GiB.
    TooLarge,
    /// The body is not raw deflate data, or it is cut off.
    Deflate,
    /// The body inflates to more than the permitted number of bytes.
    InflatedTooLarge(usize),
    /// The text is not UTF-8.
    NotUtf8,
    /// Text in brace notation is damaged or has another structure.
    Braces,
    /// The entry does not exist.
    Missing,
    /// The name is not an identifier of the 1C language, so the platform could not create the object.
    ObjectName,
}

impl Error {
    pub(crate) fn new(place: impl Into<String>, reason: Reason) -> Self {
        Self { place: place.into(), offset: None, reason }
    }

    pub(crate) fn at(place: impl Into<String>, offset: usize, reason: Reason) -> Self {
        Self { place: place.into(), offset: Some(offset), reason }
    }

    /// The same error in the wide layer behind a stub; its offset counts from the start of that layer.
    pub(crate) fn in_wide_layer(mut self) -> Self {
        self.place = format!("wide layer: {}", self.place);
        self
    }

    /// The same error seen from the container around: `entry` is where it happened.
    pub(crate) fn inside(mut self, entry: &str) -> Self {
        self.place = format!("entry {entry:?}: {}", self.place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset} (0x{offset:x})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotAContainer => "not a v8 container: it must start with ff ff ff 7f or eight times ff",
            Self::ContainerBehind => "another container follows; save the file again by the platform",
            Self::Truncated => "the file ends too early; copy it again from its source",
            Self::BlockHeader => "the block header is damaged",
            Self::Overlap => "blocks overlap or form a cycle",
            Self::ShortChain => "the chain of blocks is shorter than its announced size",
            Self::PageMapRow => "the row of the page map is damaged",
            Self::Attributes => "the attributes of the entry are damaged",
            Self::EntryName => "the name of an entry can't have a zero character",
            Self::TooLarge => "the container would be larger than 2 GiB",
            Self::Deflate => "the body is not whole deflate data",
            Self::InflatedTooLarge(limit) => {
                return write!(f, "the body inflates to more than {limit} bytes");
            }
            Self::NotUtf8 => "the text is not UTF-8",
            Self::Braces => "the text in braces is not what a data processor has here",
            Self::Missing => "there is no such entry",
            Self::ObjectName => "the name must be a letter or underscore, then letters, digits or underscores",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {}
