//! Parts of a machine under Windows: registry, firmware table, disks and network adapters, each by one call of the system.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::ptr::null_mut;

use windows_sys::Win32::NetworkManagement::IpHelper::{FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::{
    IOCTL_STORAGE_QUERY_PROPERTY, PropertyStandardQuery, STORAGE_PROPERTY_QUERY, StorageDeviceProperty,
};
use windows_sys::Win32::System::Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RRF_SUBKEY_WOW6464KEY, RegGetValueW};
use windows_sys::Win32::System::SystemInformation::{GetSystemFirmwareTable, RSMB};

use super::{smbios, storage, telling};
use crate::fingerprint::{Machine, PartKind};

/// How many disks are looked for: their numbers may have gaps.
const DISKS: u32 = 32;
/// Most adapters that are believed.
const ADAPTERS: usize = 4096;
/// Bit 0 of `InterfaceAndOperStatusFlags`: the interface is for hardware.
const HARDWARE: u8 = 1;

/// Reads the parts that the current user may see.
pub fn read() -> Machine {
    let mut parts = Vec::new();
    let mut add = |kind, value: Option<String>| {
        parts.extend(value.and_then(|value| telling(&value)).map(|value| (kind, value)));
    };
    add(PartKind::MachineId, registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid"));
    let firmware = smbios::read(&firmware_table());
    add(PartKind::ProductUuid, firmware.product_uuid);
    add(PartKind::Board, firmware.board_serial);
    for number in 0..DISKS {
        add(PartKind::Disk, disk(number));
    }
    for address in adapters() {
        add(PartKind::Network, Some(address));
    }
    add(PartKind::Processor, registry(r"HARDWARE\DESCRIPTION\System\CentralProcessor\0", "ProcessorNameString"));
    Machine { parts }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A text value below `HKEY_LOCAL_MACHINE`, in the 64-bit view whatever this process is.
fn registry(key: &str, name: &str) -> Option<String> {
    let (key, name) = (wide(key), wide(name));
    let mut text = [0u16; 256];
    let mut size = u32::try_from(std::mem::size_of_val(&text)).ok()?;
    // SAFETY: both names end with zero and live through the call; `text` has room for `size` bytes, which the call writes at most.
    let status = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            name.as_ptr(),
            RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY,
            null_mut(),
            text.as_mut_ptr().cast::<c_void>(),
            &mut size,
        )
    };
    if status != 0 {
        return None;
    }
    let length = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
    Some(String::from_utf16_lossy(text.get(..length)?))
}

fn firmware_table() -> Vec<u8> {
    // SAFETY: without a buffer the call only tells the size.
    let size = unsafe { GetSystemFirmwareTable(RSMB, 0, null_mut(), 0) };
    let mut table = vec![0u8; usize::try_from(size).unwrap_or(0)];
    // SAFETY: the buffer has `size` bytes, which the call writes at most.
    let written = unsafe { GetSystemFirmwareTable(RSMB, 0, table.as_mut_ptr(), size) };
    table.truncate(usize::try_from(written).unwrap_or(0));
    table
}

/// Serial number of a fixed disk. Asking for it needs no right to read the disk, so the handle has none.
fn disk(number: u32) -> Option<String> {
    let disk: File = OpenOptions::new().access_mode(0).open(format!(r"\\.\PhysicalDrive{number}")).ok()?;
    let query = STORAGE_PROPERTY_QUERY {
        PropertyId: StorageDeviceProperty,
        QueryType: PropertyStandardQuery,
        AdditionalParameters: [0],
    };
    let mut descriptor = [0u8; 4096];
    let mut written = 0u32;
    // SAFETY: the handle is open while `disk` lives; query and descriptor are given with their own sizes, `written` is ours, and
    // without an OVERLAPPED the call is over when it returns.
    let done = unsafe {
        DeviceIoControl(
            disk.as_raw_handle(),
            IOCTL_STORAGE_QUERY_PROPERTY,
            (&raw const query).cast::<c_void>(),
            u32::try_from(std::mem::size_of_val(&query)).ok()?,
            descriptor.as_mut_ptr().cast::<c_void>(),
            u32::try_from(descriptor.len()).ok()?,
            &mut written,
            null_mut(),
        )
    };
    if done == 0 {
        return None;
    }
    storage::fixed_serial(descriptor.get(..usize::try_from(written).ok()?)?)
}

/// Permanent addresses of hardware adapters that are no USB ones (those have no lasting place in this computer).
fn adapters() -> Vec<String> {
    let mut table: *mut MIB_IF_TABLE2 = null_mut();
    // SAFETY: the call writes one pointer to `table`; it is used only when the call says 0, and freed below once.
    if unsafe { GetIfTable2(&mut table) } != 0 || table.is_null() {
        return Vec::new();
    }
    // SAFETY: the call has made a table of `NumEntries` rows that follow each other from `Table` on; it lives until FreeMibTable.
    let rows = unsafe {
        let count = usize::try_from((*table).NumEntries).unwrap_or(0).min(ADAPTERS);
        std::slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_IF_ROW2>(), count)
    };
    let mut addresses: Vec<String> = Vec::new();
    for row in rows {
        let is_usb = String::from_utf16_lossy(&row.Description).to_lowercase().contains("usb");
        let length = usize::try_from(row.PhysicalAddressLength).unwrap_or(0);
        let Some(address) = row.PermanentPhysicalAddress.get(..length).filter(|address| !address.is_empty()) else {
            continue;
        };
        if row.InterfaceAndOperStatusFlags._bitfield & HARDWARE != 0 && !is_usb {
            let pairs: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
            addresses.push(pairs.join(":"));
        }
    }
    // SAFETY: `table` came from GetIfTable2, is freed once, and no reference into it is left.
    unsafe { FreeMibTable(table.cast_const().cast::<c_void>()) };
    addresses.sort();
    addresses.dedup();
    addresses
}
