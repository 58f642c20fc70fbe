//! The container itself: documents in chained blocks, found through the page map.
//! Memory while reading is bounded by the size of the input; bodies stay as they are stored.

use crate::{Error, Reason};

/// The time that entries made by this library carry, in units of 0.1 ms since 0001-01-01: 2000-01-01 00:00.
/// One time for all keeps the output a function of the content.
pub const FIXED_TIME: u64 = 730_119 * 24 * 60 * 60 * 10_000;

const SIGNATURE: [u8; 4] = [0xff, 0xff, 0xff, 0x7f];
const END: u32 = 0x7fff_ffff;
const HEADER: usize = 16;
const BLOCK_HEADER: usize = 31;
const BLOCK: usize = 512;
const ROW: usize = 12;

/// One entry: its attributes, and its body exactly as stored (deflated at the top level of a processor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; unique in files of the platform, which this library does not demand.
    pub name: String,
    /// Time of creation, units of 0.1 ms since 0001-01-01.
    pub created: u64,
    /// Time of the last change, the same units.
    pub modified: u64,
    /// The third field of the attributes, 0 in every file seen; kept so that a rebuilt file has the same entries.
    pub attributes: u32,
    /// The stored bytes.
    pub body: Vec<u8>,
}

impl Entry {
    /// An entry with [`FIXED_TIME`].
    pub fn new(name: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), created: FIXED_TIME, modified: FIXED_TIME, attributes: 0, body: body.into() }
    }

    fn attributes_record(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(24 + 2 * self.name.len());
        record.extend(self.created.to_le_bytes());
        record.extend(self.modified.to_le_bytes());
        record.extend(self.attributes.to_le_bytes());
        self.name.encode_utf16().for_each(|unit| record.extend(unit.to_le_bytes()));
        record.extend([0; 4]);
        record
    }

    fn from_record(record: &[u8], body: Vec<u8>) -> Option<Self> {
        let (created, rest) = record.split_first_chunk()?;
        let (modified, rest) = rest.split_first_chunk()?;
        let (attributes, rest) = rest.split_first_chunk()?;
        let units: Vec<u16> = rest
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .take_while(|&unit| unit != 0)
            .collect();
        Some(Self {
            name: String::from_utf16(&units).ok()?,
            created: u64::from_le_bytes(*created),
            modified: u64::from_le_bytes(*modified),
            attributes: u32::from_le_bytes(*attributes),
            body,
        })
    }

    /// Bytes that this entry takes in a written container, its row of the page map included.
    fn written_size(&self) -> usize {
        let name = 2 * self.name.encode_utf16().count();
        [ROW, BLOCK_HEADER + 24 + name, BLOCK_HEADER + self.body.len().max(BLOCK)]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}

/// A v8 container with 32-bit addresses. Always small enough to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    entries: Vec<Entry>,
    /// Sum of `written_size` of the entries, so that `push` stays cheap.
    size: usize,
}

impl Container {
    /// A container without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries in the order of the page map.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The first entry with this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Adds an entry at the end. Refuses a name with a zero character ([`Reason::EntryName`]) and whatever would not
    /// fit into the addresses ([`Reason::TooLarge`]).
    pub fn push(&mut self, entry: Entry) -> Result<(), Error> {
        let place = || format!("entry {:?}", entry.name);
        if entry.name.contains('\0') {
            return Err(Error::new(place(), Reason::EntryName));
        }
        let size = self.size.saturating_add(entry.written_size());
        if size.saturating_add(HEADER + BLOCK_HEADER + BLOCK) >= END as usize {
            return Err(Error::new(place(), Reason::TooLarge));
        }
        self.size = size;
        self.entries.push(entry);
        Ok(())
    }

    /// Reads a container. Bytes that belong to no document are ignored: padding, free blocks, whatever stands behind.
    pub fn read(data: &[u8]) -> Result<Self, Error> {
        match data.get(..8) {
            Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => {
                return Err(Error::at("file header", 0, Reason::WideContainer));
            }
            _ if !data.starts_with(&SIGNATURE) => return Err(Error::at("file header", 0, Reason::NotAContainer)),
            _ if data.len() < HEADER => return Err(Error::at("file header", data.len(), Reason::Truncated)),
            _ => {}
        }
        let mut blocks = Blocks { data, unread: data.len() - HEADER };
        let page_map = blocks.document(HEADER, "page map")?;
        let (rows, rest) = page_map.as_chunks::<ROW>();
        if !rest.is_empty() {
            return Err(Error::at("page map", HEADER, Reason::PageMapRow));
        }
        let mut container = Self::new();
        for (number, row) in rows.iter().enumerate() {
            let [attributes, body, end] = [0, 4, 8].map(|at| u32_at(row, at));
            if end != END {
                return Err(Error::at(format!("page map, row {number}"), HEADER, Reason::PageMapRow));
            }
            let record = blocks.document(attributes as usize, &format!("attributes of entry {number}"))?;
            let body = match body {
                END => Vec::new(),
                at => blocks.document(at as usize, &format!("body of entry {number}"))?,
            };
            let entry = Entry::from_record(&record, body).ok_or_else(|| {
                Error::at(format!("attributes of entry {number}"), attributes as usize, Reason::Attributes)
            })?;
            container.push(entry)?;
        }
        Ok(container)
    }

    /// The bytes of the container: the same entries give the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let page_map_size = self.entries.len() * ROW;
        let page_map_room = page_map_size.max(BLOCK);
        let mut page_map = Vec::with_capacity(page_map_size);
        let mut documents = Vec::with_capacity(self.size);
        let documents_at = HEADER + BLOCK_HEADER + page_map_room;
        for entry in &self.entries {
            let attributes = entry.attributes_record();
            for (document, room) in [(attributes.as_slice(), 0), (entry.body.as_slice(), BLOCK)] {
                // Fits: `push` keeps the whole container below END.
                page_map.extend(((documents_at + documents.len()) as u32).to_le_bytes());
                put_document(&mut documents, document, room);
            }
            page_map.extend(END.to_le_bytes());
        }
        let mut out = Vec::with_capacity(documents_at + documents.len());
        for field in [END, BLOCK as u32, self.entries.len() as u32, 0] {
            out.extend(field.to_le_bytes());
        }
        put_document(&mut out, &page_map, BLOCK);
        out.extend(documents);
        out
    }
}

/// Appends a document as one block with room for at least `room` bytes.
fn put_document(out: &mut Vec<u8>, document: &[u8], room: usize) {
    let room = room.max(document.len());
    out.extend(format!("\r\n{:08x} {room:08x} {END:08x} \r\n", document.len()).as_bytes());
    out.extend(document);
    out.resize(out.len() + room - document.len(), 0);
}

fn u32_at(bytes: &[u8; ROW], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |field| u32::from_le_bytes(*field))
}

/// Reads documents and counts what it has read. In a sound file no byte belongs to two documents, so all of them
/// together are smaller than the file; this one rule stops cycles, overlaps and the growth they would cause.
struct Blocks<'a> {
    data: &'a [u8],
    unread: usize,
}

impl Blocks<'_> {
    fn document(&mut self, start: usize, place: &str) -> Result<Vec<u8>, Error> {
        let mut at = start;
        let mut left = None;
        let mut document = Vec::new();
        loop {
            let (header, rest) = self
                .data
                .get(at..)
                .and_then(|rest| rest.split_first_chunk::<BLOCK_HEADER>())
                .ok_or_else(|| Error::at(place, at, Reason::Truncated))?;
            let [size, room, next] = block_header(header).ok_or_else(|| Error::at(place, at, Reason::BlockHeader))?;
            let expected = left.unwrap_or(size as usize);
            let take = expected.min(room as usize);
            self.unread =
                self.unread.checked_sub(BLOCK_HEADER + take).ok_or_else(|| Error::at(place, at, Reason::Overlap))?;
            document.extend(rest.get(..take).ok_or_else(|| Error::at(place, at, Reason::Truncated))?);
            match expected - take {
                0 => return Ok(document),
                _ if next == END => return Err(Error::at(place, at, Reason::ShortChain)),
                more => left = Some(more),
            }
            at = next as usize;
        }
    }
}

fn block_header(header: &[u8; BLOCK_HEADER]) -> Option<[u32; 3]> {
    let number = |at: usize| {
        let digits = header.get(at..at + 8)?;
        let digits = digits.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(digits).ok())??;
        u32::from_str_radix(digits, 16).ok()
    };
    let marks = [(0, b'\r'), (1, b'\n'), (10, b' '), (19, b' '), (28, b' '), (29, b'\r'), (30, b'\n')];
    if marks.iter().any(|&(at, mark)| header.get(at) != Some(&mark)) {
        return None;
    }
    Some([number(2)?, number(11)?, number(20)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(size: usize, room: usize, next: u32, content: &[u8]) -> Vec<u8> {
        let mut block = format!("\r\n{size:08x} {room:08x} {next:08x} \r\n").into_bytes();
        block.extend(content);
        block.resize(BLOCK_HEADER + room, 0);
        block
    }

    fn header(entries: u32) -> Vec<u8> {
        [END, 512, entries, 0].iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// One entry whose body is a chain of three blocks that stand in the file in another order.
    fn chained() -> Vec<u8> {
        let attributes = Entry::new("a", []).attributes_record();
        let attributes_at = HEADER + BLOCK_HEADER + ROW;
        let second = attributes_at + BLOCK_HEADER + attributes.len();
        let first = second + BLOCK_HEADER + 4;
        let third = first + BLOCK_HEADER + 3;
        let row = [attributes_at as u32, first as u32, END].map(u32::to_le_bytes).concat();
        [
            header(1),
            block(ROW, ROW, END, &row),
            block(attributes.len(), attributes.len(), END, &attributes),
            block(0, 4, third as u32, b"DEFG"),
            block(9, 3, second as u32, b"ABC"),
            block(0, 5, END, b"HI"),
        ]
        .concat()
    }

    #[test]
    fn a_document_in_chained_blocks_is_joined_in_order_of_the_chain() {
        let container = Container::read(&chained()).unwrap();
        assert_eq!(container.get("a").unwrap().body, b"ABCDEFGHI");
    }

    #[test]
    fn a_cycle_of_blocks_is_an_error() {
        // Each block of the map points at itself and has no room, so it would never end.
        let data = [header(0), block(12, 0, HEADER as u32, b""), vec![0; 1000]].concat();
        let error = Container::read(&data).unwrap_err();
        assert_eq!((error.place.as_str(), error.offset, error.reason), ("page map", Some(16), Reason::Overlap));
    }

    #[test]
    fn entries_that_share_one_body_do_not_multiply_it() {
        let body_at = HEADER + BLOCK_HEADER + 1000 * ROW;
        let record = Entry::new("a", []).attributes_record();
        let attributes_at = body_at + BLOCK_HEADER + 100_000;
        let rows = [attributes_at as u32, body_at as u32, END].map(u32::to_le_bytes).concat().repeat(1000);
        let data = [
            header(1000),
            block(rows.len(), rows.len(), END, &rows),
            block(100_000, 100_000, END, b"x"),
            block(record.len(), record.len(), END, &record),
        ]
        .concat();
        assert_eq!(Container::read(&data).unwrap_err().reason, Reason::Overlap);
    }

    #[test]
    fn errors_name_the_place_and_the_offset() {
        let mut data = chained();
        let body_at = data.len() - (BLOCK_HEADER + 3) - (BLOCK_HEADER + 5);
        data[body_at + 2] = b'x';
        let error = Container::read(&data).unwrap_err();
        assert_eq!(error, Error::at("body of entry 0", body_at, Reason::BlockHeader));
        assert_eq!(
            error.to_string(),
            format!("body of entry 0, offset {body_at} (0x{body_at:x}): the block header is damaged")
        );
        assert_eq!(Container::read(b"PK\x03\x04").unwrap_err().reason, Reason::NotAContainer);
        assert_eq!(Container::read(&[0xff; 40]).unwrap_err().reason, Reason::WideContainer);
        assert_eq!(Container::read(&header(0)[..12]).unwrap_err().reason, Reason::Truncated);
    }

    #[test]
    fn a_chain_shorter_than_announced_is_an_error() {
        let data = [header(0), block(24, 12, END, &[0; 12])].concat();
        assert_eq!(Container::read(&data).unwrap_err().reason, Reason::ShortChain);
    }

    #[test]
    fn a_name_with_a_zero_character_is_refused() {
        assert_eq!(Container::new().push(Entry::new("a\0b", [])).unwrap_err().reason, Reason::EntryName);
    }
}
