//! Facts of the operating system and of this process, for people to read.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Time;

/// Holds room for `length` more bytes behind the first `size` of a file, whose size stays. Where a file system can't, nothing is held.
#[cfg(target_os = "linux")]
pub fn reserve(file: &fs::File, size: u64, length: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (Ok(size), Ok(length)) = (size.try_into(), length.try_into()) else { return Ok(()) };
    // SAFETY: the descriptor is open for as long as `file` lives; nothing else is passed but numbers.
    let done = unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, size, length) };
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    match io::Error::last_os_error() {
        cause if done != 0 && full.contains(&cause.kind()) => Err(cause),
        _ => Ok(()),
    }
}

/// Elsewhere nothing is held.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn reserve(_file: &fs::File, _size: u64, _length: u64) -> io::Result<()> {
    Ok(())
}

/// A process that was started so much later than a file was written last is another one with the same number. Clocks may be set
/// by less than that meanwhile.
const SLACK: Duration = Duration::from_secs(60);

/// Network name of the computer.
pub fn computer_name() -> String {
    let name = if cfg!(windows) {
        env::var("COMPUTERNAME").ok()
    } else {
        fs::read_to_string("/proc/sys/kernel/hostname").ok()
    };
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// Name and version of the system: `Debian GNU/Linux 12 6.1.0 (x86_64)`.
pub fn os_version() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = super::files::read_text(Path::new("/etc/os-release"), 64 * 1024).unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(env::consts::OS, |name| name.trim_matches('"'));
    format!("{name} {} ({})", kernel.trim(), env::consts::ARCH)
}

/// The executable of this process.
pub fn executable() -> PathBuf {
    env::current_exe().unwrap_or_default()
}

/// The file that the code or data at `address` of this process was loaded from: a library, or the program itself.
#[cfg(unix)]
pub fn module_of(address: *const ()) -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr(3) only compares the address with what is loaded, and writes to `info`, which outlives the call.
    if unsafe { libc::dladdr(address.cast(), info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: every bit pattern is a Dl_info of pointers, and it was zeroed.
    let name = unsafe { info.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: the name is a text that lives as long as the library; whoever asks has code in it, so it stays loaded.
    let name = unsafe { CStr::from_ptr(name) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}

/// The file that the code or data at `address` of this process was loaded from: a library, or the program itself.
#[cfg(windows)]
pub fn module_of(address: *const ()) -> Option<PathBuf> {
    use std::ffi::OsString;
    use std::os::windows::ffi::OsStringExt;
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW,
        GetModuleHandleExW,
    };
    let mut module = std::ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with FROM_ADDRESS the name is an address that is only compared; the handle is written to `module`.
    if unsafe { GetModuleHandleExW(flags, address.cast(), &mut module) } == 0 {
        return None;
    }
    // Longer paths than this the system does not give.
    let mut name = vec![0_u16; 32_768];
    // SAFETY: `module` is loaded, as it holds the address, and the buffer has the length that is told.
    let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), name.len() as u32) } as usize;
    (1..name.len()).contains(&length).then(|| PathBuf::from(OsString::from_wide(&name[..length])))
}

/// Keeps the library that the code or data at `address` lies in loaded to the end of the process, so that a thread may be left in
/// it; whether that worked. The program itself can't be named, and stays loaded anyway.
#[cfg(unix)]
pub fn keep_loaded(address: *const ()) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr(3) only compares the address with what is loaded, and writes to `info`, which outlives the call.
    if unsafe { libc::dladdr(address.cast(), info.as_mut_ptr()) } == 0 {
        return false;
    }
    // SAFETY: every bit pattern is a Dl_info of pointers, and it was zeroed.
    let name = unsafe { info.assume_init() }.dli_fname;
    // By the very name it was loaded under, which needs no file any more.
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: the name, if there is one, is a text that lives as long as the library, which has the caller's code in it; with NOLOAD
    // nothing is loaded or run.
    !name.is_null() && !unsafe { libc::dlopen(name, flags) }.is_null()
}

/// Keeps the library that the code or data at `address` lies in loaded to the end of the process, so that a thread may be left in
/// it; whether that worked.
#[cfg(windows)]
pub fn keep_loaded(address: *const ()) -> bool {
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    };
    let mut module = std::ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    // SAFETY: with FROM_ADDRESS the name is an address that is only compared; the handle is written to `module`.
    unsafe { GetModuleHandleExW(flags, address.cast(), &mut module) != 0 }
}

/// Has large buffers given back to the system as soon as they are freed, for a program that runs for months: else glibc keeps
/// the memory of each password that was hashed. Only for programs of our own: a library must leave the allocator alone.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// In bytes. What lists and pages take is below it, what a password takes is far above.
        const LARGE: libc::c_int = 1024 * 1024;
        // SAFETY: mallopt(3) takes two numbers and touches nothing but the allocator's own settings.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

/// Name of the user that this process runs as; empty when the environment does not tell.
pub fn user_name() -> String {
    env::var("USER").or_else(|_| env::var("USERNAME")).unwrap_or_default()
}

/// Number of the user whose rights this process has.
#[cfg(unix)]
pub fn user_id() -> u32 {
    // SAFETY: geteuid(2) takes nothing, touches no memory and can't fail.
    unsafe { libc::geteuid() }
}

/// IPv4 addresses of this computer without loopback, in the system's order.
#[cfg(unix)]
pub fn local_ips() -> Vec<std::net::Ipv4Addr> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs(3) writes one pointer to `list`; it is read only when the call says 0, and freed below once.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: `next` is a node of the list that getifaddrs made, which lives until freeifaddrs below.
        let node = unsafe { &*next };
        let is_ipv4 = !node.ifa_addr.is_null() && {
            // SAFETY: a non-null ifa_addr points to a sockaddr, whose family tells its real type.
            let family = unsafe { (*node.ifa_addr).sa_family };
            i32::from(family) == libc::AF_INET
        };
        if is_ipv4 {
            // SAFETY: the family is AF_INET, so the address is a sockaddr_in; read unaligned, as nothing promises alignment.
            let address = unsafe { std::ptr::read_unaligned(node.ifa_addr.cast::<libc::sockaddr_in>()) };
            let ip = std::net::Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            if !ip.is_loopback() && !found.contains(&ip) {
                found.push(ip);
            }
        }
        next = node.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs, is freed once, and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// IPv4 addresses of this computer: other systems tell them when their packages are built.
#[cfg(not(unix))]
pub fn local_ips() -> Vec<std::net::Ipv4Addr> {
    Vec::new()
}

/// Whether a process of this number lives.
pub fn process_lives(pid: u32) -> bool {
    if cfg!(target_os = "linux") { fs::metadata(format!("/proc/{pid}")).is_ok() } else { true }
}

/// Whether the process that has written a file is gone: there is none of its number, or that one was started after the file was
/// written.
pub fn writer_is_gone(pid: u32, path: &Path) -> bool {
    if !process_lives(pid) {
        return true;
    }
    let written = fs::metadata(path).and_then(|facts| facts.modified()).unwrap_or_else(|_| SystemTime::now());
    let written = Time(0).plus(written.duration_since(UNIX_EPOCH).unwrap_or_default());
    process_started(pid).is_some_and(|started| started > written.plus(SLACK))
}

/// When a live process was started, by the system's clock; `None` when it can't be known.
#[cfg(target_os = "linux")]
pub fn process_started(pid: u32) -> Option<Time> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, so fields are counted behind its end: the start is field 22 of proc(5).
    let ticks: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // SAFETY: sysconf(3) reads a constant of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let since_boot = ticks.checked_mul(1000)?.checked_div(per_second)?;
    Some(Time(boot.checked_mul(1000)?.checked_add(since_boot)?))
}

/// When a live process was started: other systems tell it when their packages are built.
#[cfg(not(target_os = "linux"))]
pub fn process_started(_pid: u32) -> Option<Time> {
    None
}

/// Who listens on a local TCP port, as ` (name, PID n)`; empty when it can't be known.
pub fn port_owner(port: u16) -> String {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening_inode(table, port));
    let Some(inode) = inode else { return String::new() };
    let Some(pid) = socket_owner(&inode) else { return String::new() };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!(" ({}, PID {pid})", name.trim())
}

/// The process that has the socket with this number of the kernel's tables, among those that this account may look into.
pub fn socket_owner(inode: &str) -> Option<u32> {
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").into_iter().flatten().flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let mut handles = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let has = handles.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str()));
        has.then_some(pid)
    })
}

/// Column 2 of the kernel's table is the local address, 4 the state (0A: listening), 10 the inode.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let table = fs::read_to_string(table).ok()?;
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = columns.get(1)?.ends_with(&suffix) && *columns.get(3)? == "0A";
        listens.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::SystemClock;
    use crate::time::Clock;

    #[test]
    fn code_of_this_program_lies_in_its_file() {
        assert_eq!(module_of(module_of as *const ()), Some(executable()));
        assert_eq!(module_of(std::ptr::null()), None);
    }

    #[test]
    fn a_busy_port_names_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = port_owner(listener.local_addr().unwrap().port());
        if cfg!(target_os = "linux") {
            assert!(owner.contains(&format!("PID {}", std::process::id())), "{owner}");
        }
    }

    #[test]
    fn this_process_lives_and_the_computer_has_a_name() {
        assert!(process_lives(std::process::id()));
        if cfg!(target_os = "linux") {
            let started = process_started(std::process::id()).unwrap();
            let now = SystemClock.now().wall;
            // The system counts both in seconds and hundredths of them.
            assert!(started.0 <= now.0 + 2_000 && started.0 > now.0 - 3_600_000, "{started} {now}");
            assert_eq!(process_started(u32::MAX), None);
        }
        assert!(!computer_name().is_empty() && os_version().contains(env::consts::ARCH));
    }
}
