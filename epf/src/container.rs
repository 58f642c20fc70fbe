//! The container itself: documents in chained blocks, found through the page map.
//! Memory while reading is bounded by the size of the input; bodies stay as they are stored.

use crate::{Error, Reason};

/// The time that entries made by this library carry, in units of 0.1 ms since 0001-01-01: 2000-01-01 00:00.
/// One time for all keeps the output a function of the content.
pub const FIXED_TIME: u64 = 730_119 * 24 * 60 * 60 * 10_000;

const SIGNATURE: [u8; 4] = [0xff, 0xff, 0xff, 0x7f];
const WIDE_SIGNATURE: [u8; 8] = [0xff; 8];
const BLOCK: usize = 512;

/// Where files of the platform have their wide layer: the stub before it has this size.
const WIDE_AT: usize = 0x1359;

/// How wide addresses are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Layout {
    /// 32 bits: all platforms.
    #[default]
    Narrow,
    /// 64 bits: compatibility 8.3.16 and later.
    Wide,
}

impl Layout {
    /// The address that ends a chain of blocks and stands for no document.
    const fn end(self) -> u64 {
        match self {
            Self::Narrow => 0x7fff_ffff,
            Self::Wide => u64::MAX,
        }
    }

    /// Bytes of an address.
    const fn address(self) -> usize {
        match self {
            Self::Narrow => 4,
            Self::Wide => 8,
        }
    }

    /// Bytes of the header of a container: one address and three numbers of 32 bits.
    const fn header(self) -> usize {
        self.address() + 12
    }

    /// Bytes of a row of the page map.
    const fn row(self) -> usize {
        3 * self.address()
    }

    /// Hex digits of a number in a block header.
    const fn digits(self) -> usize {
        2 * self.address()
    }

    /// Bytes of a block header.
    const fn block_header(self) -> usize {
        7 + 3 * self.digits()
    }

    /// The address that the first bytes hold.
    fn read_address(self, bytes: &[u8]) -> Option<u64> {
        Some(match self {
            Self::Narrow => u32::from_le_bytes(*bytes.first_chunk()?).into(),
            Self::Wide => u64::from_le_bytes(*bytes.first_chunk()?),
        })
    }

    fn put_address(self, out: &mut Vec<u8>, address: u64) {
        out.extend(&address.to_le_bytes()[..self.address()]);
    }

    /// Appends a document as one block with room for at least `room` bytes.
    fn put_document(self, out: &mut Vec<u8>, document: &[u8], room: usize) {
        let (room, digits) = (room.max(document.len()), self.digits());
        let header = format!("\r\n{:0digits$x} {room:0digits$x} {:0digits$x} \r\n", document.len(), self.end());
        out.extend(header.as_bytes());
        out.extend(document);
        out.resize(out.len() + room - document.len(), 0);
    }

    /// Size of the document, room of the block and address of the next one, as a block header gives them.
    fn read_block_header(self, header: &[u8]) -> Option<[u64; 3]> {
        let digits = self.digits();
        let [size, room, next] = [2, 3 + digits, 4 + 2 * digits];
        let number = |at: usize| {
            let digits = header.get(at..at + digits)?;
            let digits = digits.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(digits).ok())??;
            u64::from_str_radix(digits, 16).ok()
        };
        let end = next + digits;
        let marks = [
            (0, b'\r'),
            (1, b'\n'),
            (room - 1, b' '),
            (next - 1, b' '),
            (end, b' '),
            (end + 1, b'\r'),
            (end + 2, b'\n'),
        ];
        if marks.iter().any(|&(at, mark)| header.get(at) != Some(&mark)) {
            return None;
        }
        Some([number(size)?, number(room)?, number(next)?])
    }
}

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
    fn written_size(&self, layout: Layout) -> usize {
        let name = 2 * self.name.encode_utf16().count();
        [layout.row(), layout.block_header() + 24 + name, layout.block_header() + self.body.len().max(BLOCK)]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}

/// A v8 container, always small enough to be written.
///
/// Files of compatibility 8.3.16 and later have two layers: a narrow container that tells older platforms to be updated, and
/// behind it the wide one with the content. Its entries are those of the wide layer; the bytes before it stay as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    layout: Layout,
    /// The narrow container before a wide one, as stored; else empty.
    stub: Vec<u8>,
    entries: Vec<Entry>,
    /// Sum of `written_size` of the entries, so that `push` stays cheap.
    size: usize,
}

impl Container {
    /// A container with 32-bit addresses and without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A container with 64-bit addresses, without entries and without a stub.
    #[cfg(test)]
    pub(crate) fn wide() -> Self {
        Self { layout: Layout::Wide, ..Self::default() }
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
        let layout = self.layout;
        let size = self.size.saturating_add(entry.written_size(layout));
        if size.saturating_add(layout.header() + layout.block_header() + BLOCK) as u64 >= layout.end() {
            return Err(Error::new(place(), Reason::TooLarge));
        }
        self.size = size;
        self.entries.push(entry);
        Ok(())
    }

    /// Reads a container. Bytes that belong to no document are ignored: padding, free blocks. What stands behind a container
    /// and is one itself is never ignored: it is read as the wide layer, or refused ([`Reason::ContainerBehind`]).
    pub fn read(data: &[u8]) -> Result<Self, Error> {
        if data.starts_with(&WIDE_SIGNATURE) {
            return Self::read_layer(data, Layout::Wide).map(|(wide, _)| wide);
        }
        if !data.starts_with(&SIGNATURE) {
            return Err(Error::at("file header", 0, Reason::NotAContainer));
        }
        let (narrow, end) = Self::read_layer(data, Layout::Narrow)?;
        let behind = |at: usize| data.get(at..).unwrap_or_default();
        if let Some(at) = [end, WIDE_AT].into_iter().find(|at| behind(*at).starts_with(&WIDE_SIGNATURE)) {
            let (mut wide, _) = Self::read_layer(behind(at), Layout::Wide).map_err(Error::in_wide_layer)?;
            wide.stub = data[..at].to_vec();
            return Ok(wide);
        }
        if behind(end).starts_with(&SIGNATURE) {
            return Err(Error::at("file", end, Reason::ContainerBehind));
        }
        Ok(narrow)
    }

    /// One container from its header on, and where its last document ends.
    fn read_layer(data: &[u8], layout: Layout) -> Result<(Self, usize), Error> {
        let header = layout.header();
        let unread = data.len().checked_sub(header);
        let unread = unread.ok_or_else(|| Error::at("file header", data.len(), Reason::Truncated))?;
        let mut blocks = Blocks { data, layout, unread, end: header };
        let page_map = blocks.document(header as u64, "page map")?;
        let rows = page_map.chunks_exact(layout.row());
        if !rows.remainder().is_empty() {
            return Err(Error::at("page map", header, Reason::PageMapRow));
        }
        let mut container = Self { layout, ..Self::default() };
        for (number, row) in rows.enumerate() {
            let field = |number: usize| row.get(number * layout.address()..).and_then(|rest| layout.read_address(rest));
            let (Some(attributes), Some(body), Some(end)) = (field(0), field(1), field(2)) else { continue };
            if end != layout.end() {
                return Err(Error::at(format!("page map, row {number}"), header, Reason::PageMapRow));
            }
            let record = blocks.document(attributes, &format!("attributes of entry {number}"))?;
            let body = match body == layout.end() {
                true => Vec::new(),
                false => blocks.document(body, &format!("body of entry {number}"))?,
            };
            let entry = Entry::from_record(&record, body).ok_or_else(|| {
                Error::at(format!("attributes of entry {number}"), attributes as usize, Reason::Attributes)
            })?;
            container.push(entry)?;
        }
        Ok((container, blocks.end))
    }

    /// The bytes of the container, in the layers that it was read from: the same entries give the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let layout = self.layout;
        let page_map_size = self.entries.len() * layout.row();
        let page_map_room = page_map_size.max(BLOCK);
        let mut page_map = Vec::with_capacity(page_map_size);
        let mut documents = Vec::with_capacity(self.size);
        let documents_at = layout.header() + layout.block_header() + page_map_room;
        for entry in &self.entries {
            let attributes = entry.attributes_record();
            for (document, room) in [(attributes.as_slice(), 0), (entry.body.as_slice(), BLOCK)] {
                // Fits: `push` keeps the whole container below the end of its addresses.
                layout.put_address(&mut page_map, (documents_at + documents.len()) as u64);
                layout.put_document(&mut documents, document, room);
            }
            layout.put_address(&mut page_map, layout.end());
        }
        let mut out = Vec::with_capacity(self.stub.len() + documents_at + documents.len());
        out.extend(&self.stub);
        layout.put_address(&mut out, layout.end());
        for field in [BLOCK as u32, self.entries.len() as u32, 0] {
            out.extend(field.to_le_bytes());
        }
        layout.put_document(&mut out, &page_map, BLOCK);
        out.extend(documents);
        out
    }
}

/// Reads documents and counts what it has read. In a sound file no byte belongs to two documents, so all of them
/// together are smaller than the file; this one rule stops cycles, overlaps and the growth they would cause.
struct Blocks<'a> {
    data: &'a [u8],
    layout: Layout,
    unread: usize,
    /// Where the last of all blocks that were read ends.
    end: usize,
}

impl Blocks<'_> {
    fn document(&mut self, start: u64, place: &str) -> Result<Vec<u8>, Error> {
        let header_size = self.layout.block_header();
        let mut at = offset(start);
        let mut left = None;
        let mut document = Vec::new();
        loop {
            let (header, rest) = self
                .data
                .get(at..)
                .and_then(|rest| rest.split_at_checked(header_size))
                .ok_or_else(|| Error::at(place, at, Reason::Truncated))?;
            let read = self.layout.read_block_header(header);
            let [size, room, next] = read.ok_or_else(|| Error::at(place, at, Reason::BlockHeader))?;
            let (room, expected) = (offset(room), left.unwrap_or(offset(size)));
            let take = expected.min(room);
            let content = rest.get(..take).ok_or_else(|| Error::at(place, at, Reason::Truncated))?;
            let unread = self.unread.checked_sub(header_size + take);
            self.unread = unread.ok_or_else(|| Error::at(place, at, Reason::Overlap))?;
            document.extend(content);
            self.end = self.end.max((at + header_size).saturating_add(room));
            match expected - take {
                0 => return Ok(document),
                _ if next == self.layout.end() => return Err(Error::at(place, at, Reason::ShortChain)),
                more => left = Some(more),
            }
            at = offset(next);
        }
    }
}

/// A number of a file as one of this computer; what is too large for it is beyond any file as well.
fn offset(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = Layout::Narrow.header();
    const BLOCK_HEADER: usize = Layout::Narrow.block_header();
    const ROW: usize = Layout::Narrow.row();
    const END: u32 = 0x7fff_ffff;

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
        assert_eq!(Container::read(&[0xff; 90]).unwrap_err().reason, Reason::BlockHeader);
        assert_eq!(Container::read(&header(0)[..12]).unwrap_err().reason, Reason::Truncated);
    }

    #[test]
    fn a_chain_shorter_than_announced_is_an_error() {
        let data = [header(0), block(24, 12, END, &[0; 12])].concat();
        assert_eq!(Container::read(&data).unwrap_err().reason, Reason::ShortChain);
    }

    /// A wide container of one entry whose body is a chain of two blocks, made field by field.
    fn wide() -> Vec<u8> {
        let block = |size: usize, room: usize, next: u64, content: &[u8]| {
            let mut block = format!("\r\n{size:016X} {room:016X} {next:016X} \r\n").into_bytes();
            assert_eq!(block.len(), 55);
            block.extend(content);
            block.resize(55 + room, 0);
            block
        };
        let attributes = Entry::new("root", []).attributes_record();
        let first = 20 + 55 + 512 + 55 + attributes.len();
        let second = first + 55 + 3;
        let row = [20 + 55 + 512, first as u64, u64::MAX].map(u64::to_le_bytes).concat();
        [
            u64::MAX.to_le_bytes().to_vec(),
            [512_u32, 0, 0].map(u32::to_le_bytes).concat(),
            block(24, 512, u64::MAX, &row),
            block(attributes.len(), attributes.len(), u64::MAX, &attributes),
            block(5, 3, second as u64, b"ABC"),
            block(0, 2, u64::MAX, b"DE"),
        ]
        .concat()
    }

    #[test]
    fn the_wide_layer_behind_a_stub_is_the_content_and_the_stub_stays() {
        let mut stub = Container::new();
        stub.push(Entry::new("version", b"update the platform".as_slice())).unwrap();
        let file = [stub.write(), wide()].concat();
        let mut container = Container::read(&file).unwrap();
        assert_eq!(container.entries(), Container::read(&wide()).unwrap().entries());
        assert_eq!(container.get("root").unwrap().body, b"ABCDE");
        assert!(container.write().starts_with(&stub.write()));
        container.push(Entry::new("more", b"added".as_slice())).unwrap();
        assert_eq!(Container::read(&container.write()).unwrap(), container);
    }

    #[test]
    fn a_stub_with_free_blocks_at_its_end_hides_no_wide_layer() {
        let mut stub = chained();
        stub.resize(WIDE_AT, 0);
        let container = Container::read(&[stub, wide()].concat()).unwrap();
        assert_eq!(container.get("root").unwrap().body, b"ABCDE");
    }

    #[test]
    fn nothing_behind_a_container_is_dropped_that_is_one_itself() {
        let narrow = Container::new().write();
        let behind = |layer: &[u8]| Container::read(&[&narrow, layer].concat()).unwrap_err();
        let damaged = behind(&wide()[..90]);
        assert_eq!((damaged.reason, damaged.place.as_str()), (Reason::Truncated, "wide layer: page map"));
        let second = behind(&narrow);
        assert_eq!((second.reason, second.offset), (Reason::ContainerBehind, Some(narrow.len())));
        assert!(Container::read(&[narrow.as_slice(), &[0; 100]].concat()).is_ok(), "padding");
    }

    #[test]
    fn a_name_with_a_zero_character_is_refused() {
        assert_eq!(Container::new().push(Entry::new("a\0b", [])).unwrap_err().reason, Reason::EntryName);
    }
}
