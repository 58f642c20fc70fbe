//! The table of the firmware (DMTF DSP0134, "System Management BIOS Reference Specification") as far as it identifies a machine.
//! Reads bytes that firmware wrote, so nothing in it is believed: what does not fit is left out.

/// What the table tells of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firmware {
    /// UUID of the system (type 1), as Linux writes it.
    pub product_uuid: Option<String>,
    /// Serial number of the board (type 2).
    pub board_serial: Option<String>,
}

/// Header of what `GetSystemFirmwareTable` gives: calling method, version (2 bytes), revision, length (4 bytes).
const RAW_HEADER: usize = 8;
/// Header of a structure: type, length of its formatted part, handle.
const HEADER: usize = 4;

/// Reads `RawSMBIOSData`, as `GetSystemFirmwareTable` gives it.
pub fn read(raw: &[u8]) -> Firmware {
    let mut firmware = Firmware::default();
    let mut rest = raw.get(RAW_HEADER..).unwrap_or_default();
    while let Some((&[kind, length, ..], _)) = rest.split_first_chunk::<HEADER>() {
        let Some((formatted, after)) = rest.split_at_checked(usize::from(length).max(HEADER)) else { break };
        // The strings of a structure end with an empty one; a structure without strings has two zeros.
        let Some(end) = after.windows(2).position(|pair| pair == [0, 0]) else { break };
        let strings = &after[..end];
        match kind {
            1 if firmware.product_uuid.is_none() => {
                firmware.product_uuid = formatted.get(8..24).and_then(|bytes| bytes.try_into().ok()).map(uuid);
            }
            2 if firmware.board_serial.is_none() => firmware.board_serial = string(strings, formatted.get(7)),
            _ => {}
        }
        rest = &after[end + 2..];
    }
    firmware
}

/// The string of this number, counted from 1.
fn string(strings: &[u8], number: Option<&u8>) -> Option<String> {
    let at = usize::from(*number?).checked_sub(1)?;
    let bytes = strings.split(|byte| *byte == 0).nth(at)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The first three fields are little-endian since version 2.6, and so Linux and Windows show them.
fn uuid(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let hex = |bytes: &[u8]| crate::id::hex(bytes).to_lowercase();
    let (clock, node) = rest.split_at(2);
    format!("{}-{}-{}-{}-{}", hex(&[d, c, b, a]), hex(&[f, e]), hex(&[h, g]), hex(clock), hex(node))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> Vec<u8> {
        let mut raw = vec![0, 3, 0, 0, 0, 0, 0, 0];
        // A BIOS structure without strings, then system and board.
        raw.extend([0, 6, 0, 0, 9, 9, 0, 0]);
        let mut system = vec![1, 0x1B, 1, 0, 1, 2, 0, 3];
        system.extend((1..=16).collect::<Vec<u8>>());
        system.extend([6, 0, 0]);
        raw.extend(system);
        raw.extend(b"Maker\0Model\0SYS-1\0\0");
        raw.extend([2, 9, 2, 0, 1, 2, 0, 3, 0]);
        raw.extend(b"Maker\0Board\0BRD-7\0\0");
        raw.extend([127, 4, 3, 0, 0, 0]);
        raw
    }

    #[test]
    fn the_uuid_of_the_system_and_the_serial_number_of_the_board_are_found() {
        let firmware = read(&table());
        assert_eq!(firmware.product_uuid.as_deref(), Some("04030201-0605-0807-090a-0b0c0d0e0f10"));
        assert_eq!(firmware.board_serial.as_deref(), Some("BRD-7"));
    }

    #[test]
    fn a_table_that_is_cut_off_gives_what_it_has() {
        let whole = table();
        for length in 0..whole.len() {
            let part = read(&whole[..length]);
            assert!(part.product_uuid.is_none() || part.product_uuid == read(&whole).product_uuid);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&raw);
        }
    }
}
