//! What the machine says of its parts. Placeholders that makers leave in firmware are not taken for serial numbers.

use std::fs;
use std::path::Path;

use crate::fingerprint::{Machine, PartKind};

/// Reads the parts of this machine that the current user may see.
pub fn read() -> Machine {
    read_below(Path::new("/"))
}

/// Reads the parts from a system tree below `root`.
#[cfg(target_os = "linux")]
fn read_below(root: &Path) -> Machine {
    let text = |path: &str| value(&root.join(path));
    let mut parts = Vec::new();
    let mut add = |kind, value: Option<String>| parts.extend(value.map(|value| (kind, value)));
    add(PartKind::MachineId, text("etc/machine-id").or_else(|| text("var/lib/dbus/machine-id")));
    add(PartKind::ProductUuid, text("sys/class/dmi/id/product_uuid"));
    add(PartKind::Board, text("sys/class/dmi/id/board_serial"));
    for disk in folders(&root.join("sys/block")) {
        let is_fixed = disk.join("device").exists() && value(&disk.join("removable")).is_none_or(|flag| flag == "0");
        if is_fixed {
            let serial = ["serial", "device/serial", "device/wwid", "wwid"];
            add(PartKind::Disk, serial.iter().find_map(|name| value(&disk.join(name))));
        }
    }
    for card in folders(&root.join("sys/class/net")) {
        if card.join("device").exists() {
            add(PartKind::Network, value(&card.join("address")));
        }
    }
    let processor = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let model = processor.lines().find(|line| line.starts_with("model name"));
    add(PartKind::Processor, model.and_then(|line| line.split_once(':')).and_then(|(_, name)| telling(name)));
    Machine { parts }
}

/// No part of other systems is read yet. None is better than one that anybody may choose, such as the computer's name: the
/// centre refuses a fingerprint without parts, and no licence matches one.
#[cfg(not(target_os = "linux"))]
fn read_below(_root: &Path) -> Machine {
    Machine::default()
}

fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn value(path: &Path) -> Option<String> {
    telling(&fs::read_to_string(path).ok()?)
}

/// The trimmed value, unless it tells nothing: empty, one character repeated, or a maker's placeholder.
fn telling(value: &str) -> Option<String> {
    let value = value.trim();
    let plain: Vec<char> = value.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let first = plain.first()?;
    let lower = value.to_lowercase();
    let placeholder = ["default string", "to be filled", "not specified", "none", "system serial", "uninitialized"];
    let repeats = plain.len() > 1 && plain.iter().all(|c| c == first);
    (!repeats && !placeholder.iter().any(|text| lower.starts_with(text))).then(|| value.to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_virtual_cards_are_left_out() {
        let root = std::env::temp_dir().join(format!("slk-machine-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/machine-id", "3d1219c7c4c5404a\n");
        put("sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
        put("sys/class/dmi/id/board_serial", "Default string\n");
        put("sys/class/net/eth0/address", "52:54:00:12:34:56\n");
        put("sys/class/net/eth0/device/x", "");
        put("sys/class/net/docker0/address", "02:42:00:00:00:01\n");
        put("sys/block/sda/device/serial", "S3Z9\n");
        put("sys/block/sda/removable", "0\n");
        put("sys/block/sdb/device/serial", "USB1\n");
        put("sys/block/sdb/removable", "1\n");
        put("proc/cpuinfo", "processor: 0\nmodel name\t: Some CPU\n");
        let machine = read_below(&root);
        fs::remove_dir_all(&root).unwrap();
        let kinds: Vec<_> = machine.parts.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
        assert_eq!(
            kinds,
            [
                (PartKind::MachineId, "3d1219c7c4c5404a"),
                (PartKind::Disk, "S3Z9"),
                (PartKind::Network, "52:54:00:12:34:56"),
                (PartKind::Processor, "Some CPU"),
            ]
        );
    }
}
