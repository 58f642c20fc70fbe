//! GUIDs as a function of content, so that the same source gives the same file.
//! Not cryptographic: they tell objects of one vendor apart, and nothing trusts them.

/// A GUID of version 8 (RFC 9562: private scheme) from the parts: two 64-bit FNV-1a sums over different starting
/// values, each finished by a mixing step. Parts are separated, so `["ab", "c"]` and `["a", "bc"]` differ.
pub(crate) fn guid(parts: &[&[u8]]) -> String {
    let high = mix(fnv(0xcbf2_9ce4_8422_2325, parts)) & !0xf000 | 0x8000;
    let low = mix(fnv(0x6c62_272e_07bb_0142, parts)) & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn fnv(start: u64, parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| (part.len() as u64).to_le_bytes().into_iter().chain(part.iter().copied()))
        .fold(start, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// FNV changes the upper bits little for short inputs; this spreads every bit over all (the SplitMix64 finisher).
fn mix(mut sum: u64) -> u64 {
    sum = (sum ^ sum >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ sum >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ sum >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_depends_on_every_part_and_on_their_borders() {
        let all = [guid(&[b"ab", b"c"]), guid(&[b"a", b"bc"]), guid(&[b"abc"]), guid(&[b"abd"]), guid(&[])];
        for (number, one) in all.iter().enumerate() {
            assert!(!all[number + 1..].contains(one));
            assert_eq!((one.len(), &one[14..15]), (36, "8"));
            assert!("89ab".contains(&one[19..20]));
        }
        assert_eq!(guid(&[b"ab", b"c"]), all[0]);
    }
}
