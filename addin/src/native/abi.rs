//! Layouts and constants of the 1C Native API, asserted at compile time for every target.
//! Only shapes live here: no function of this module reads foreign memory.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::mem::{align_of, offset_of, size_of};

/// A code unit of the API's strings: UTF-16 on every system.
pub type Unit = u16;

/// The pointer to a sub-object that every method gets first.
pub type This = *mut c_void;

/// Destructor slots in a class with a virtual destructor: two by the Itanium C++ ABI, one by Microsoft's.
/// The host on Windows is built by MSVC, whatever compiler made this library.
pub const DESTRUCTORS: usize = if cfg!(windows) { 1 } else { 2 };

/// `tVariant.vt`: plain numbers, since a host may send any.
pub mod vt {
    pub const EMPTY: u16 = 0;
    pub const NULL: u16 = 1;
    pub const I2: u16 = 2;
    pub const I4: u16 = 3;
    pub const R4: u16 = 4;
    pub const R8: u16 = 5;
    pub const DATE: u16 = 6;
    pub const TM: u16 = 7;
    pub const PSTR: u16 = 8;
    pub const ERROR: u16 = 10;
    pub const BOOL: u16 = 11;
    pub const I1: u16 = 13;
    pub const UI1: u16 = 14;
    pub const UI2: u16 = 15;
    pub const UI4: u16 = 16;
    pub const I8: u16 = 17;
    pub const UI8: u16 = 18;
    pub const INT: u16 = 19;
    pub const UINT: u16 = 20;
    pub const HRESULT: u16 = 21;
    pub const PWSTR: u16 = 22;
    pub const BLOB: u16 = 23;
}

/// `struct tm` of the C library that the host was built with.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tm {
    pub sec: c_int,
    pub min: c_int,
    pub hour: c_int,
    pub mday: c_int,
    pub mon: c_int,
    pub year: c_int,
    pub wday: c_int,
    pub yday: c_int,
    pub isdst: c_int,
    #[cfg(not(windows))]
    pub gmtoff: c_long,
    #[cfg(not(windows))]
    pub zone: *const c_char,
}

/// Bytes of a PSTR or BLOB and their number.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    /// May be NULL when `len` is 0.
    pub ptr: *mut c_char,
    /// Number of bytes.
    pub len: u32,
}

/// Code units of a PWSTR and their number, a terminating NUL not counted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Wide {
    /// May be NULL when `len` is 0.
    pub ptr: *mut Unit,
    /// Number of units.
    pub len: u32,
}

/// The union of `tVariant`; every bit pattern is valid in every member, so reads can only be meaningless.
#[repr(C)]
#[derive(Clone, Copy)]
pub union Payload {
    pub i1: i8,
    pub i2: i16,
    pub i4: i32,
    pub i8: i64,
    pub ui1: u8,
    pub ui2: u16,
    pub ui4: u32,
    pub ui8: u64,
    pub r4: f32,
    pub r8: f64,
    /// One byte, and not always 0 or 1.
    pub boolean: u8,
    pub tm: Tm,
    pub bytes: Bytes,
    pub wide: Wide,
    pub clsid: [u8; 16],
}

/// A value that crosses the border.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Variant {
    /// The value itself.
    pub value: Payload,
    /// Number of elements of an array; unused.
    pub elements: u32,
    /// Kind of the value, see [`vt`].
    pub vt: u16,
}

const POINTER: usize = size_of::<*const c_void>();

// The numbers of the interface's description: [size, align, cbElements, vt, length field, struct tm].
const LAYOUT: [usize; 6] = match (cfg!(windows), POINTER) {
    (true, 8) => [48, 8, 40, 44, 8, 36],
    (true, _) => [48, 8, 40, 44, 4, 36],
    (false, 8) => [64, 8, 56, 60, 8, 56],
    (false, _) if cfg!(target_arch = "x86") => [52, 4, 44, 48, 4, 44],
    // Other 32-bit systems align 64-bit members to 8.
    (false, _) => [56, 8, 48, 52, 4, 44],
};
const _: () = assert!(size_of::<Variant>() == LAYOUT[0]);
const _: () = assert!(align_of::<Variant>() == LAYOUT[1]);
const _: () = assert!(offset_of!(Variant, value) == 0);
const _: () = assert!(offset_of!(Variant, elements) == LAYOUT[2]);
const _: () = assert!(offset_of!(Variant, vt) == LAYOUT[3]);
const _: () = assert!(offset_of!(Bytes, len) == LAYOUT[4] && offset_of!(Wide, len) == LAYOUT[4]);
const _: () = assert!(size_of::<Tm>() == LAYOUT[5]);
const _: () = assert!(size_of::<c_int>() == 4 && size_of::<c_long>() == if cfg!(windows) { 4 } else { POINTER });

/// Levels of the host and of the component in `SetPlatformCapabilities`.
pub mod capabilities {
    /// From this level on the connection has `GetInterface`.
    pub const INTERFACES: i32 = 1;
    /// From this level on `GetInterface` knows `IAttachedInfo`.
    pub const ATTACHED_INFO: i32 = 2;
    /// What this component is built for: an object with four bases.
    pub const OURS: i32 = 3;
}

/// `GetAttachType`: the component may be loaded into the application and into a process of its own.
pub const ATTACH_ANY: i32 = 3;

/// `GetInfo`: the component is of the second version of the technology.
pub const TECHNOLOGY: c_long = 2000;

/// Message code of `AddError` for an error, and the error code that makes it a catchable exception.
pub const ERROR_FAIL: u16 = 1006;

/// Numbers of interfaces for `GetInterface`.
pub mod interface {
    /// `IPlatformInfo`.
    pub const PLATFORM_INFO: i32 = 1;
    /// `IAttachedInfo`.
    pub const ATTACHED_INFO: i32 = 2;
}

/// Words between the address that `GetInterface` returns and the object: Microsoft's compiler puts the empty base
/// `IInterface` behind the vtable pointer.
pub const INTERFACE_SHIFT: usize = if cfg!(windows) { 1 } else { 0 };

/// `IMemoryManager`.
#[repr(C)]
pub struct MemoryManager {
    /// Its functions.
    pub table: *const MemoryManagerTable,
}

/// Functions of [`MemoryManager`].
#[repr(C)]
pub struct MemoryManagerTable {
    pub destructors: [usize; DESTRUCTORS],
    pub alloc_memory: unsafe extern "system" fn(*mut MemoryManager, *mut *mut c_void, c_ulong) -> u8,
    pub free_memory: unsafe extern "system" fn(*mut MemoryManager, *mut *mut c_void),
}
const _: () = assert!(offset_of!(MemoryManagerTable, alloc_memory) == POINTER * DESTRUCTORS);

/// `IAddInDefBaseEx`, the connection to the host. A host of capability level 0 gives `IAddInDefBase`, whose table ends
/// before `get_interface`.
#[repr(C)]
pub struct Connection {
    /// Its functions.
    pub table: *const ConnectionTable,
}

/// Functions of [`Connection`]; those never called are there for their place only.
#[repr(C)]
pub struct ConnectionTable {
    pub destructors: [usize; DESTRUCTORS],
    pub add_error: unsafe extern "system" fn(*mut Connection, u16, *const Unit, *const Unit, c_long) -> u8,
    pub read: usize,
    pub write: usize,
    pub register_profile_as: usize,
    pub set_event_buffer_depth: usize,
    pub get_event_buffer_depth: usize,
    pub external_event: usize,
    pub clean_event_buffer: usize,
    pub set_status_line: usize,
    pub reset_status_line: usize,
    pub get_interface: unsafe extern "system" fn(*mut Connection, i32) -> *mut c_void,
}
const _: () = assert!(offset_of!(ConnectionTable, add_error) == POINTER * DESTRUCTORS);
const _: () = assert!(offset_of!(ConnectionTable, get_interface) == POINTER * (DESTRUCTORS + 10));

/// `IPlatformInfo`; has no destructor.
#[repr(C)]
pub struct PlatformInfo {
    /// Its functions.
    pub table: *const PlatformInfoTable,
}

/// Functions of [`PlatformInfo`].
#[repr(C)]
pub struct PlatformInfoTable {
    pub get_platform_info: unsafe extern "system" fn(*mut PlatformInfo) -> *const AppInfo,
}

/// What [`PlatformInfo`] tells.
#[repr(C)]
pub struct AppInfo {
    pub version: *const Unit,
    pub user_agent: *const Unit,
    pub app_type: i32,
}
const _: () = assert!(offset_of!(AppInfo, app_type) == POINTER * 2);

/// `IAttachedInfo`; has no destructor.
#[repr(C)]
pub struct AttachedInfo {
    /// Its functions.
    pub table: *const AttachedInfoTable,
}

/// Functions of [`AttachedInfo`].
#[repr(C)]
pub struct AttachedInfoTable {
    pub get_attached_info: unsafe extern "system" fn(*mut AttachedInfo) -> i32,
}

/// The destructor slots as the Itanium C++ ABI has them.
#[cfg(not(windows))]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Destructors {
    /// D1: ends the object, leaves its memory.
    pub complete: unsafe extern "C" fn(This),
    /// D0: ends the object and frees its memory, what C++ `delete` calls.
    pub deleting: unsafe extern "C" fn(This),
}

/// A scalar deleting destructor of Microsoft's ABI: frees the memory too if bit 0 of the flags is set.
#[cfg(all(windows, target_arch = "x86"))]
pub type ScalarDeleting = unsafe extern "thiscall" fn(This, u32) -> This;
/// A scalar deleting destructor of Microsoft's ABI: frees the memory too if bit 0 of the flags is set.
#[cfg(all(windows, not(target_arch = "x86")))]
pub type ScalarDeleting = unsafe extern "C" fn(This, u32) -> This;

/// The destructor slot as Microsoft's C++ ABI has it.
#[cfg(windows)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Destructors {
    /// What C++ `delete` calls.
    pub scalar_deleting: ScalarDeleting,
}

/// A vtable with the words before it that an Itanium table has.
#[repr(C)]
pub struct Table<Methods> {
    /// Distance from the sub-object to the whole object, in bytes: 0 or negative.
    #[cfg(not(windows))]
    pub offset_to_top: isize,
    /// Type information: none, hosts never ask for it.
    #[cfg(not(windows))]
    pub typeinfo: usize,
    /// Where vtable pointers point.
    pub destructors: Destructors,
    /// The methods, in their order.
    pub methods: Methods,
}

/// `IInitDoneBase`.
#[repr(C)]
pub struct InitDone {
    pub init: unsafe extern "system" fn(This, *mut Connection) -> bool,
    pub set_mem_manager: unsafe extern "system" fn(This, *mut MemoryManager) -> bool,
    pub get_info: unsafe extern "system" fn(This) -> c_long,
    pub done: unsafe extern "system" fn(This),
}

/// `ILanguageExtenderBase`.
#[repr(C)]
pub struct LanguageExtender {
    pub register_extension_as: unsafe extern "system" fn(This, *mut *mut Unit) -> bool,
    pub get_n_props: unsafe extern "system" fn(This) -> c_long,
    pub find_prop: unsafe extern "system" fn(This, *const Unit) -> c_long,
    pub get_prop_name: unsafe extern "system" fn(This, c_long, c_long) -> *const Unit,
    pub get_prop_val: unsafe extern "system" fn(This, c_long, *mut Variant) -> bool,
    pub set_prop_val: unsafe extern "system" fn(This, c_long, *mut Variant) -> bool,
    pub is_prop_readable: unsafe extern "system" fn(This, c_long) -> bool,
    pub is_prop_writable: unsafe extern "system" fn(This, c_long) -> bool,
    pub get_n_methods: unsafe extern "system" fn(This) -> c_long,
    pub find_method: unsafe extern "system" fn(This, *const Unit) -> c_long,
    pub get_method_name: unsafe extern "system" fn(This, c_long, c_long) -> *const Unit,
    pub get_n_params: unsafe extern "system" fn(This, c_long) -> c_long,
    pub get_param_def_value: unsafe extern "system" fn(This, c_long, c_long, *mut Variant) -> bool,
    pub has_ret_val: unsafe extern "system" fn(This, c_long) -> bool,
    pub call_as_proc: unsafe extern "system" fn(This, c_long, *mut Variant, c_long) -> bool,
    pub call_as_func: unsafe extern "system" fn(This, c_long, *mut Variant, *mut Variant, c_long) -> bool,
}
const _: () = assert!(size_of::<LanguageExtender>() == 16 * POINTER && size_of::<InitDone>() == 4 * POINTER);

/// `LocaleBase` and `UserLanguageBase`.
#[repr(C)]
pub struct Locale {
    /// `SetLocale` or `SetUserInterfaceLanguageCode`.
    pub set: unsafe extern "system" fn(This, *const Unit),
}
