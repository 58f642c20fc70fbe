//! What Windows says of a disk: `STORAGE_DEVICE_DESCRIPTOR`, read as bytes.

/// Offsets in the descriptor, as the headers of Windows lay it out.
const REMOVABLE: usize = 10;
const SERIAL_OFFSET: usize = 24;
const BUS: usize = 28;
/// `BusTypeUsb`.
const USB: u32 = 7;

/// Serial number of a fixed disk; `None` for one that can be carried away.
pub fn fixed_serial(descriptor: &[u8]) -> Option<String> {
    let number = |at: usize| Some(u32::from_le_bytes(descriptor.get(at..at + 4)?.try_into().ok()?));
    if *descriptor.get(REMOVABLE)? != 0 || number(BUS)? == USB {
        return None;
    }
    let at = usize::try_from(number(SERIAL_OFFSET)?).ok().filter(|at| *at > 0)?;
    let text = descriptor.get(at..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(removable: u8, bus: u32) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[REMOVABLE] = removable;
        bytes[SERIAL_OFFSET..SERIAL_OFFSET + 4].copy_from_slice(&40u32.to_le_bytes());
        bytes[BUS..BUS + 4].copy_from_slice(&bus.to_le_bytes());
        bytes.extend(b"  S3Z9NB0K \0rest");
        bytes
    }

    #[test]
    fn a_disk_that_can_be_carried_away_has_no_serial_number_here() {
        assert_eq!(fixed_serial(&descriptor(0, 11)).as_deref(), Some("S3Z9NB0K"));
        assert_eq!(fixed_serial(&descriptor(1, 11)), None);
        assert_eq!(fixed_serial(&descriptor(0, USB)), None);
        assert_eq!(fixed_serial(&descriptor(0, 11)[..30]), None);
        assert_eq!(fixed_serial(&[]), None);
    }
}
