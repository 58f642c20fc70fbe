//! Reader and writer of the v8 container, the file format of external data processors (`.epf`) and reports
//! (`.erf`) of 1C:Enterprise 8, and a builder of processors that consist of one module.
//! Owns the layout only: it never touches files, never guesses at damaged input and never runs what it reads.
//!
//! Layout (read from files that the platform saved; all integers little-endian):
//!
//! ```text
//! container  = header blocks…
//! header     = first free block u32 (0x7fffffff: none) · default block size u32 (512) · number of entries u32 · 0 u32
//! block      = block header, 31 ASCII bytes: CR LF · size · SP · room · SP · next · SP · CR LF, numbers as 8 hex digits
//!              then `room` bytes; the first block of a chain gives the size of the whole document, the others 0;
//!              next = address of the next block, 0x7fffffff ends the chain
//! page map   = the document at address 16: rows of attributes address u32 · body address u32 · 0x7fffffff u32
//! attributes = created u64 · modified u64 (units of 0.1 ms since 0001-01-01) · 0 u32 · name in UTF-16 · 0 u32
//! body       = bytes; at the top level of an .epf they are raw deflate (RFC 1951), in a nested container plain
//! ```
//!
//! A wide container (compatibility 8.3.16 and later) has addresses of 64 bits: its header begins with eight times `ff` and has 20
//! bytes, block headers have numbers of 16 hex digits and 55 bytes, rows of the page map 24. A file has it behind a narrow container,
//! the stub, which tells older platforms to be updated; its addresses count from its own header. Nested ones have no stub.
//!
//! A document is usually one block; the platform chains blocks for documents over 32 KiB whose size it did not
//! know beforehand. The writer makes one block per document, padded with zeros to 512 bytes except for attributes.
//!
//! Entries of a processor, sorted by name; texts are UTF-8 with a byte order mark, in brace notation:
//!
//! | entry | content |
//! |---|---|
//! | `root` | the GUID of the file header |
//! | `version` | version of the format: 216, compatibility 8.3.15 |
//! | `versions` | a GUID for each entry and one for the whole, new with each change |
//! | `copyinfo` | links used when objects are copied between files; empty here |
//! | `<file GUID>` | the header: kind of file, GUIDs, name, lists of tabular sections, templates, forms, attributes |
//! | `<object GUID>.0` | nested container with `info` and `text`, the module |

mod braces;
mod container;
mod deflate;
mod error;
mod guid;
pub mod processor;

pub use container::{Container, Entry, FIXED_TIME};
pub use deflate::{deflate, inflate};
pub use error::{Error, Reason};
