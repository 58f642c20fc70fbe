//! Parts of a machine under Linux, from files that the kernel and the system show.

use std::fs;
use std::path::{Path, PathBuf};

use super::telling;
use crate::fingerprint::{Machine, PartKind};
use crate::host::files;

/// Longest value that is read, in bytes.
const MAX_VALUE: u64 = 64 * 1024;

/// Reads the parts from a system tree below `root`.
pub fn read_below(root: &Path) -> Machine {
    let text = |path: &str| value(&root.join(path));
    let mut parts = Vec::new();
    let mut add = |kind, value: Option<String>| parts.extend(value.map(|value| (kind, value)));
    add(PartKind::MachineId, text("etc/machine-id").or_else(|| text("var/lib/dbus/machine-id")));
    add(PartKind::ProductUuid, text("sys/class/dmi/id/product_uuid"));
    // Boards without SMBIOS, ARM ones for the most part, have the serial number in their device tree.
    let board = ["sys/class/dmi/id/board_serial", "sys/firmware/devicetree/base/serial-number"];
    add(PartKind::Board, board.iter().find_map(|path| text(path)));
    for disk in folders(&root.join("sys/block")) {
        let is_fixed = is_built_in(&disk) && value(&disk.join("removable")).is_none_or(|flag| flag == "0");
        if is_fixed {
            let serial = ["serial", "device/serial", "device/wwid", "wwid"];
            add(PartKind::Disk, serial.iter().find_map(|name| value(&disk.join(name))));
        }
    }
    for card in folders(&root.join("sys/class/net")) {
        if is_built_in(&card) && has_lasting_address(&card) {
            add(PartKind::Network, value(&card.join("address")));
        }
    }
    let processor = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let model = processor.lines().find(|line| line.starts_with("model name"));
    add(PartKind::Processor, model.and_then(|line| line.split_once(':')).and_then(|(_, name)| telling(name)));
    Machine { parts }
}

/// Whether a real device stands behind it, and no USB one.
fn is_built_in(device: &Path) -> bool {
    fs::canonicalize(device.join("device")).is_ok_and(|real| !real.to_string_lossy().contains("/usb"))
}

/// `addr_assign_type` of the kernel: 0 permanent, 1 random, 2 stolen from another device, 3 set by somebody.
fn has_lasting_address(card: &Path) -> bool {
    value(&card.join("addr_assign_type")).is_none_or(|kind| kind == "0")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn value(path: &Path) -> Option<String> {
    let value = files::read_text(path, MAX_VALUE).ok()?;
    // One digit is an answer here, not a serial number.
    if value.trim().len() == 1 { Some(value.trim().to_owned()) } else { telling(&value) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_what_can_be_carried_away_are_left_out() {
        let root = std::env::temp_dir().join(format!("slk-machine-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |path: &str, to: &str| {
            fs::create_dir_all(root.join(to)).unwrap();
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(root.join(to), root.join(path)).unwrap();
        };
        put("etc/machine-id", "3d1219c7c4c5404a\n");
        put("sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
        put("sys/class/dmi/id/board_serial", "Default string\n");
        for (card, address, kind) in [
            ("eth0", "52:54:00:12:34:56", "0"),
            ("wlan0", "a6:01:02:03:04:05", "1"),
            ("eth1", "00:e0:4c:68:00:01", "0"),
            ("docker0", "02:42:00:00:00:01", "3"),
        ] {
            put(&format!("sys/class/net/{card}/address"), &format!("{address}\n"));
            put(&format!("sys/class/net/{card}/addr_assign_type"), kind);
        }
        link("sys/class/net/eth0/device", "sys/devices/pci0000:00/eth0");
        link("sys/class/net/wlan0/device", "sys/devices/pci0000:00/wlan0");
        link("sys/class/net/eth1/device", "sys/devices/pci0000:00/usb1/1-1/eth1");
        for (disk, bus, serial, removable) in
            [("sda", "ata1", "S3Z9", "0"), ("sdb", "ata2", "CARD1", "1"), ("sdc", "usb2/2-1", "USB1", "0")]
        {
            let device = format!("sys/devices/pci0000:00/{bus}/{disk}");
            link(&format!("sys/block/{disk}/device"), &device);
            put(&format!("{device}/serial"), &format!("{serial}\n"));
            put(&format!("sys/block/{disk}/removable"), removable);
        }
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
