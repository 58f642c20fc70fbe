//! The fingerprint of a computer: weighted parts, each a salted hash, and the rule by which a licence still knows its machine.
//!
//! Hashes make the parts pseudonymous, not anonymous: who can guess a serial number can check his guess.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crypto::Crypto;
use crate::id::{Bytes32, ComputerId};

/// A kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PartKind {
    /// Identifier of the operating system's installation.
    MachineId,
    /// UUID of the product (SMBIOS system).
    ProductUuid,
    /// Serial number of the board.
    Board,
    /// Serial numbers of fixed disks.
    Disk,
    /// Hardware addresses of physical network cards.
    Network,
    /// Model of the processor.
    Processor,
    /// A mounted identity file, for containers.
    IdentityFile,
}

impl PartKind {
    /// Weight of the part in the match: what is unique and lasting weighs more.
    pub fn weight(self) -> u32 {
        match self {
            PartKind::MachineId | PartKind::ProductUuid => 3,
            PartKind::Board | PartKind::Disk | PartKind::Network => 2,
            PartKind::Processor => 1,
            // As much as all the others: an allowed file is enough by itself, and so is the whole machine without it.
            PartKind::IdentityFile => 13,
        }
    }
}

/// Least weight that must be found again, however little a licence knows: a model of processor tells no machine from others.
const LEAST: u32 = 2;

/// What the machine says of itself: values of each kind, unhashed. Never leaves the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// Pairs of kind and value; a kind may have several values.
    pub parts: Vec<(PartKind, String)>,
}

/// One part as a licence holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Part {
    /// The kind.
    pub kind: PartKind,
    /// Its weight at the time of issue.
    pub weight: u32,
    /// Hash of every value of this kind; one that is found again is a match.
    pub hashes: Vec<Bytes32>,
}

/// A fingerprint: salted hashes of the parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Fingerprint {
    /// Salt of all hashes, one per server identity.
    pub salt: Bytes32,
    /// The parts, one per kind.
    pub parts: Vec<Part>,
}

/// Outcome of comparing a fingerprint with the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Each part of the fingerprint with its weight and whether it was found again.
    pub parts: Vec<(PartKind, u32, bool)>,
    /// Weight that was found again.
    pub matched: u32,
    /// Weight of all parts.
    pub total: u32,
    /// Weight that must be found again.
    pub needed: u32,
}

impl Match {
    /// Whether this is the machine of the licence.
    pub fn holds(&self) -> bool {
        self.total > 0 && self.matched >= self.needed
    }
}

impl Machine {
    /// The fingerprint of this machine under `salt`.
    pub fn fingerprint(&self, crypto: &dyn Crypto, salt: Bytes32) -> Fingerprint {
        let mut parts: Vec<Part> = Vec::new();
        for (kind, value) in &self.parts {
            let hash = hash(crypto, &salt, *kind, value);
            match parts.iter_mut().find(|part| part.kind == *kind) {
                Some(part) if part.hashes.contains(&hash) => {}
                Some(part) => part.hashes.push(hash),
                None => parts.push(Part { kind: *kind, weight: kind.weight(), hashes: vec![hash] }),
            }
        }
        parts.sort_by_key(|part| part.kind);
        Fingerprint { salt, parts }
    }

    /// `ComputerID` of the guide: from the most lasting part that the machine has. `None` when it has none.
    pub fn computer_id(&self, crypto: &dyn Crypto) -> Option<ComputerId> {
        let lasting = [
            PartKind::IdentityFile,
            PartKind::MachineId,
            PartKind::ProductUuid,
            PartKind::Board,
            PartKind::Network,
            PartKind::Disk,
        ];
        let (kind, value) = lasting.iter().find_map(|kind| self.parts.iter().find(|(k, _)| k == kind))?;
        let hash = crypto.sha256(&[b"SLK computer 1", format!("{kind:?}").as_bytes(), b"\n", normal(value).as_bytes()]);
        let mut id = [0; 20];
        id.copy_from_slice(&hash[..20]);
        Some(ComputerId(id))
    }
}

impl Fingerprint {
    /// Compares with the machine. One replaced part is always forgiven where at least half of the weight stays:
    /// needed = max(half of the total rounded up, total less the heaviest part, 2).
    pub fn compare(&self, crypto: &dyn Crypto, machine: &Machine) -> Match {
        self.compare_with(&machine.fingerprint(crypto, self.salt))
    }

    /// Compares with a later fingerprint of what may be the same machine; under another salt nothing matches.
    pub fn compare_with(&self, now: &Fingerprint) -> Match {
        let found = |part: &Part| {
            let same = now.parts.iter().find(|other| other.kind == part.kind);
            same.is_some_and(|other| part.hashes.iter().any(|hash| other.hashes.contains(hash)))
        };
        let parts: Vec<_> = self.parts.iter().map(|part| (part.kind, part.weight, found(part))).collect();
        let total: u32 = parts.iter().fold(0, |sum, part| sum.saturating_add(part.1));
        let heaviest = parts.iter().map(|part| part.1).max().unwrap_or(0);
        let matched = parts.iter().filter(|part| part.2).fold(0u32, |sum, part| sum.saturating_add(part.1));
        Match { parts, matched, total, needed: total.div_ceil(2).max(total.saturating_sub(heaviest)).max(LEAST) }
    }
}

fn hash(crypto: &dyn Crypto, salt: &Bytes32, kind: PartKind, value: &str) -> Bytes32 {
    Bytes32(crypto.sha256(&[b"SLK part 1", &salt.0, format!("{kind:?}").as_bytes(), b"\n", normal(value).as_bytes()]))
}

fn normal(value: &str) -> String {
    value.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::ring::PROVIDER;

    const KINDS: [PartKind; 6] = [
        PartKind::MachineId,
        PartKind::ProductUuid,
        PartKind::Board,
        PartKind::Disk,
        PartKind::Network,
        PartKind::Processor,
    ];

    fn machine(seed: u64) -> Machine {
        Machine { parts: KINDS.iter().map(|kind| (*kind, format!("{kind:?} {seed}"))).collect() }
    }

    #[test]
    fn several_values_of_a_kind_match_by_any_of_them() {
        let mut old = machine(1);
        old.parts.push((PartKind::Network, "second card".into()));
        let print = old.fingerprint(&PROVIDER, Bytes32([3; 32]));
        let mut new = machine(1);
        new.parts.retain(|(kind, _)| *kind != PartKind::Network);
        new.parts.push((PartKind::Network, " SECOND card".into()));
        assert_eq!(print.compare(&PROVIDER, &new).matched, print.compare(&PROVIDER, &old).total);
    }

    #[test]
    fn a_computer_id_is_forty_capital_hex_digits_and_lasts() {
        let id = machine(1).computer_id(&PROVIDER).unwrap();
        assert_eq!(id.to_string().len(), 40);
        let mut changed = machine(1);
        changed.parts.retain(|(kind, _)| *kind == PartKind::MachineId);
        assert_eq!(changed.computer_id(&PROVIDER), Some(id));
        assert_eq!(Machine::default().computer_id(&PROVIDER), None);
    }

    #[test]
    fn a_fingerprint_without_parts_matches_no_machine() {
        let empty = Machine::default().fingerprint(&PROVIDER, Bytes32([0; 32]));
        assert!(!empty.compare(&PROVIDER, &machine(1)).holds());
    }

    #[test]
    fn a_model_of_processor_alone_is_no_machine() {
        let model = Machine { parts: vec![(PartKind::Processor, "Some CPU".into())] };
        let print = model.fingerprint(&PROVIDER, Bytes32([0; 32]));
        assert!(!print.compare(&PROVIDER, &model).holds());
    }

    #[test]
    fn a_mounted_identity_file_is_enough_and_so_is_the_whole_machine_without_it() {
        let with = |seed: u64, file: &str| {
            let mut machine = machine(seed);
            machine.parts.push((PartKind::IdentityFile, file.into()));
            machine
        };
        let print = with(1, "file 1").fingerprint(&PROVIDER, Bytes32([0; 32]));
        let holds = |machine: &Machine| print.compare(&PROVIDER, machine).holds();
        assert!(holds(&with(2, "file 1")), "the container has moved to another host");
        assert!(holds(&machine(1)), "the file was lost");
        assert!(!holds(&with(2, "file 2")) && !holds(&machine(2)));
        let others: u32 = KINDS.iter().map(|kind| kind.weight()).sum();
        assert_eq!(PartKind::IdentityFile.weight(), others);
    }

    /// A machine with some of the kinds, some of them with several values. Models of processors are few; whatever else a machine
    /// has is its own.
    fn generated(seed: u64, kinds: &[bool; 5], values: &[u8; 5], model: u8) -> Machine {
        let own = KINDS.iter().zip(kinds).zip(values).filter(|((_, has), _)| **has);
        let mut parts: Vec<(PartKind, String)> = own
            .flat_map(|((kind, _), values)| (0..=*values).map(move |n| (*kind, format!("{kind:?} {seed} {n}"))))
            .collect();
        parts.push((PartKind::Processor, format!("CPU model {model}")));
        Machine { parts }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_one_part_may_change_and_a_different_machine_never_matches(
            seed in any::<u32>(),
            kinds in any::<[bool; 5]>(),
            other_kinds in any::<[bool; 5]>(),
            values in proptest::array::uniform5(0u8..3),
            (model, other_model) in (0u8..3, 0u8..3),
        ) {
            let mine = generated(u64::from(seed), &kinds, &values, model);
            let print = mine.fingerprint(&PROVIDER, Bytes32([7; 32]));
            if kinds.contains(&true) {
                prop_assert!(print.compare(&PROVIDER, &mine).holds());
            }
            // With three kinds no part is worth more than all the others together.
            if print.parts.len() >= 3 {
                for part in &print.parts {
                    let mut repaired = mine.clone();
                    for (kind, value) in &mut repaired.parts {
                        if *kind == part.kind {
                            value.push_str(" replaced");
                        }
                    }
                    prop_assert!(print.compare(&PROVIDER, &repaired).holds(), "{:?}", part.kind);
                }
            }
            let other = generated(u64::from(seed) + 1, &other_kinds, &values, other_model);
            prop_assert!(!print.compare(&PROVIDER, &other).holds(), "{:?} {:?}", mine, other);
        }
    }
}
