//! A host in Rust and a component that notes what happens to it. Holds no test.

use std::ffi::{c_long, c_ulong, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::native::abi::*;
use crate::native::component::{Class, Component, Failure, HostInfo, Method, Preset, Property};
use crate::native::object::{Object, agree_on_level};
use crate::native::value::{Maker, Promise, Value};
use crate::native::{exports, text};

/// What the components of one test went through, found by the thread that runs the test.
#[derive(Default)]
pub struct Diary {
    pub panic_in: Mutex<&'static str>,
    pub host: Mutex<HostInfo>,
    pub locale: Mutex<String>,
    /// The last wrong call that the component was told of.
    pub failed: Mutex<Option<licence::Code>>,
    /// The last promise that could not be kept.
    pub refused: Mutex<Option<licence::Code>>,
    pub done: AtomicUsize,
    pub dropped: AtomicUsize,
}

thread_local! {
    static DIARY: Arc<Diary> = Arc::default();
}

pub fn diary() -> Arc<Diary> {
    DIARY.with(Arc::clone)
}

struct Probe {
    diary: Arc<Diary>,
    kept: Value,
}

impl Probe {
    fn step(&self, name: &'static str) {
        if *self.diary.panic_in.lock() == name {
            panic!("in {name}");
        }
    }

    fn kept(&mut self) -> Result<Value, Failure> {
        self.step("get");
        Ok(self.kept.clone())
    }

    fn keep(&mut self, value: Value) -> Result<(), Failure> {
        self.step("set");
        self.kept = value;
        Ok(())
    }

    fn echo(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.step("call");
        Ok(arguments[0].take())
    }

    fn join(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        Ok(format!("{arguments:?}").into())
    }

    fn promise(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        Ok(Value::Promise(Promise::new(Reversed(arguments[0].as_text().unwrap_or_default().to_owned()))))
    }

    fn fail(&mut self, _: &mut [Value]) -> Result<Value, Failure> {
        Err(Failure(licence::Error::new(licence::Code::NoObject).with("а\u{0}б")))
    }
}

/// Promises a text without its last byte, backwards; refuses what begins with "-" and panics at what begins with "!".
struct Reversed(String);

impl Maker for Reversed {
    fn parts(&self) -> Vec<&[u8]> {
        self.0.as_bytes().chunks(3).collect()
    }

    fn make(&self, memory: &mut [u8]) -> licence::Result<usize> {
        match memory.split_last_mut() {
            Some((_, kept)) if kept.starts_with(b"-") => Err(licence::Code::ObjectDamaged.into()),
            Some((_, kept)) if kept.starts_with(b"!") => panic!("in a promise"),
            Some((_, kept)) => {
                kept.reverse();
                Ok(kept.len())
            }
            None => Ok(0),
        }
    }
}

impl Component for Probe {
    const NAME: &'static str = "Probe";
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::new("Kept", "Хранимое", Self::kept, Self::keep),
        Property::write_only("Secret", "Секрет", Self::keep),
    ];
    const METHODS: &'static [Method<Self>] = &[
        Method::function("Echo", "Эхо", 1, &[], Self::echo),
        Method::procedure(
            "Join",
            "Соединить",
            1,
            &[Preset::Text("нет"), Preset::Int(-5), Preset::Bool(true)],
            Self::join,
        ),
        Method::function("Fail", "Отказать", 0, &[], Self::fail),
        Method::function("Promise", "Обещать", 1, &[], Self::promise),
    ];

    fn create() -> Self {
        let probe = Probe { diary: diary(), kept: Value::Undefined };
        probe.step("create");
        probe
    }

    fn init(&mut self, host: &HostInfo) {
        self.step("init");
        *self.diary.host.lock() = host.clone();
    }

    fn set_locale(&mut self, locale: &str) {
        self.step("locale");
        *self.diary.locale.lock() = locale.to_owned();
    }

    fn set_language(&mut self, code: &str) {
        self.step("language");
        self.diary.locale.lock().push_str(code);
    }

    fn failed(&mut self, error: &licence::Error) {
        *self.diary.failed.lock() = Some(error.code);
    }

    fn refused(&mut self, error: licence::Error) {
        *self.diary.refused.lock() = Some(error.code);
    }

    fn done(&mut self) {
        self.diary.done.fetch_add(1, Ordering::Relaxed);
        self.step("done");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.diary.dropped.fetch_add(1, Ordering::Relaxed);
        self.step("drop");
    }
}

pub static CLASSES: &[Class] = &[Class::of::<Probe>()];

/// A host in Rust. Its parts begin with the table pointer that the component calls through.
#[repr(C)]
pub struct TestMemory {
    base: MemoryManager,
    pub blocks: Vec<Box<[u64]>>,
    /// Blocks that the component gave back, as it left them.
    pub given_back: Vec<Box<[u64]>>,
    /// Called back into at each allocation.
    pub reentered: *mut c_void,
}

unsafe extern "system" fn alloc_memory(this: *mut MemoryManager, out: *mut *mut c_void, bytes: c_ulong) -> u8 {
    // SAFETY: the manager is the first field of a `TestMemory` of one thread, `out` is a place of the component.
    unsafe {
        let memory = &mut *this.cast::<TestMemory>();
        if !memory.reentered.is_null() {
            // Would hang if a lock were held across the call.
            assert_eq!((extender(memory.reentered).get_n_props)(base(memory.reentered, 1)), 2);
        }
        memory.blocks.push(vec![u64::MAX; (bytes as usize).div_ceil(8)].into_boxed_slice());
        *out = memory.blocks.last_mut().expect("just pushed").as_mut_ptr().cast();
    }
    // True as some compilers store it.
    0x80
}

unsafe extern "system" fn free_memory(this: *mut MemoryManager, block: *mut *mut c_void) {
    // SAFETY: as in `alloc_memory`.
    unsafe {
        let memory = &mut *this.cast::<TestMemory>();
        let at = memory.blocks.iter().position(|known| known.as_ptr().cast() == (*block).cast_const());
        memory.given_back.push(memory.blocks.swap_remove(at.expect("a block of ours")));
        *block = ptr::null_mut();
    }
}

static MEMORY_TABLE: MemoryManagerTable =
    MemoryManagerTable { destructors: [0; DESTRUCTORS], alloc_memory, free_memory };

#[repr(C)]
pub struct TestConnection {
    base: Connection,
    pub errors: Vec<String>,
    pub platform: *mut PlatformInfo,
    pub attached: *mut AttachedInfo,
    pub reentered: *mut c_void,
}

unsafe extern "system" fn add_error(
    this: *mut Connection,
    wcode: u16,
    source: *const Unit,
    text: *const Unit,
    scode: c_long,
) -> u8 {
    // SAFETY: the connection is the first field of a `TestConnection` of one thread; texts end with NUL.
    unsafe {
        assert_eq!((wcode, scode), (1006, 1006));
        let reentered = (*this.cast::<TestConnection>()).reentered;
        if !reentered.is_null() {
            // Would hang if a lock were held across the call.
            assert_eq!((extender(reentered).get_n_props)(base(reentered, 1)), 2);
        }
        let line = format!("{}|{}", text::terminated(source).unwrap(), text::terminated(text).unwrap());
        (*this.cast::<TestConnection>()).errors.push(line);
    }
    1
}

unsafe extern "system" fn get_interface(this: *mut Connection, id: i32) -> *mut c_void {
    // SAFETY: as in `add_error`.
    let connection = unsafe { &*this.cast::<TestConnection>() };
    let found: *mut c_void = match id {
        interface::PLATFORM_INFO => connection.platform.cast(),
        interface::ATTACHED_INFO => connection.attached.cast(),
        _ => ptr::null_mut(),
    };
    if found.is_null() { found } else { found.wrapping_byte_add(INTERFACE_SHIFT * size_of::<usize>()) }
}

static CONNECTION_TABLE: ConnectionTable = ConnectionTable {
    destructors: [0; DESTRUCTORS],
    add_error,
    read: 0,
    write: 0,
    register_profile_as: 0,
    set_event_buffer_depth: 0,
    get_event_buffer_depth: 0,
    external_event: 0,
    clean_event_buffer: 0,
    set_status_line: 0,
    reset_status_line: 0,
    get_interface,
};

/// A table pointer in front, then the answer.
#[repr(C)]
pub struct TestPlatform {
    pub base: PlatformInfo,
    pub info: AppInfo,
}

unsafe extern "system" fn get_platform_info(this: *mut PlatformInfo) -> *const AppInfo {
    // SAFETY: the first field of a `TestPlatform`.
    unsafe { &raw const (*this.cast::<TestPlatform>()).info }
}

unsafe extern "system" fn get_attached_info(_: *mut AttachedInfo) -> i32 {
    0
}

pub static PLATFORM_TABLE: PlatformInfoTable = PlatformInfoTable { get_platform_info };
pub static ATTACHED_TABLE: AttachedInfoTable = AttachedInfoTable { get_attached_info };

/// An object and its host.
pub struct Bench {
    pub object: *mut Object,
    pub memory: Box<TestMemory>,
    pub connection: Box<TestConnection>,
}

impl Bench {
    /// An object that nobody has introduced himself to.
    pub fn new() -> Self {
        agree_on_level(3);
        let mut object = ptr::null_mut();
        // SAFETY: a NUL-terminated name and a place of ours.
        let created = unsafe { exports::create(CLASSES, text::with_nul("PROBE").as_ptr(), &mut object) };
        assert_eq!(created, 1);
        Self {
            object,
            memory: Box::new(TestMemory {
                base: MemoryManager { table: &MEMORY_TABLE },
                blocks: Vec::new(),
                given_back: Vec::new(),
                reentered: ptr::null_mut(),
            }),
            connection: Box::new(TestConnection {
                base: Connection { table: &CONNECTION_TABLE },
                errors: Vec::new(),
                platform: ptr::null_mut(),
                attached: ptr::null_mut(),
                reentered: ptr::null_mut(),
            }),
        }
    }

    pub fn ready() -> Self {
        let mut bench = Self::new();
        assert!(bench.init());
        // SAFETY: the manager lives as long as the object.
        assert!(unsafe { (bench.first().set_mem_manager)(bench.this(0), (&raw mut *bench.memory).cast()) });
        bench
    }

    pub fn init(&mut self) -> bool {
        // SAFETY: the connection lives as long as the object.
        unsafe { (self.first().init)(self.this(0), (&raw mut *self.connection).cast()) }
    }

    pub fn this(&self, number: usize) -> This {
        base(self.object.cast(), number)
    }

    pub fn first(&self) -> &'static InitDone {
        // SAFETY: the first vtable of a live object.
        unsafe { methods(self.this(0)) }
    }

    pub fn members(&self) -> &'static LanguageExtender {
        // SAFETY: a live object.
        unsafe { extender(self.object.cast()) }
    }

    pub fn echo(&mut self, argument: Variant) -> (bool, Variant) {
        self.call(0, argument)
    }

    /// Calls a method of one argument.
    pub fn call(&mut self, method: c_long, argument: Variant) -> (bool, Variant) {
        let (mut argument, mut result) = (argument, variant(vt::EMPTY));
        // SAFETY: one argument; the result is a place of ours.
        let good = unsafe { (self.members().call_as_func)(self.this(1), method, &mut result, &mut argument, 1) };
        (good, result)
    }

    /// Calls the method that promises bytes made of a text.
    pub fn promise(&mut self, text: &str) -> (bool, Variant) {
        let bytes = Bytes { ptr: text.as_ptr().cast_mut().cast(), len: text.len() as u32 };
        self.call(3, number(vt::PSTR, |value| value.bytes = bytes))
    }

    pub fn last_error(&self) -> &str {
        self.connection.errors.last().map_or("", String::as_str)
    }

    /// Ends the object by the deleting destructor of a sub-object, what C++ `delete` does.
    pub fn delete(self, number: usize) {
        // SAFETY: the destructors of a live object; it is not used any more.
        unsafe {
            let this = self.this(number);
            let destructors = **this.cast::<*const Destructors>();
            #[cfg(not(windows))]
            (destructors.deleting)(this);
            #[cfg(windows)]
            (destructors.scalar_deleting)(this, 1);
        }
    }
}

pub fn base(object: *mut c_void, number: usize) -> This {
    object.wrapping_byte_add(number * size_of::<usize>())
}

/// # Safety
/// `this` is a sub-object of a live object whose table has these methods.
pub unsafe fn methods<Methods>(this: This) -> &'static Methods {
    // SAFETY: its first word points to the destructors, and the methods follow them in a static table.
    unsafe { &*(*this.cast::<*const Destructors>()).add(1).cast::<Methods>() }
}

/// # Safety
/// `object` is live.
pub unsafe fn extender(object: *mut c_void) -> &'static LanguageExtender {
    // SAFETY: the second sub-object.
    unsafe { methods(base(object, 1)) }
}

pub fn variant(kind: u16) -> Variant {
    // SAFETY: all zero bits are a value of each member.
    Variant { vt: kind, ..unsafe { std::mem::zeroed() } }
}

pub fn number(kind: u16, write: impl FnOnce(&mut Payload)) -> Variant {
    let mut variant = variant(kind);
    write(&mut variant.value);
    variant
}

pub fn text_of(result: &Variant) -> String {
    assert_eq!(result.vt, vt::PWSTR);
    // SAFETY: the component has written a text of the kind's form, with a NUL that is not counted.
    unsafe {
        let wide = result.value.wide;
        assert_eq!(*wide.ptr.add(wide.len as usize), 0);
        String::from_utf16(std::slice::from_raw_parts(wide.ptr, wide.len as usize)).unwrap()
    }
}

pub fn bytes_of(result: &Variant) -> &[u8] {
    assert_eq!(result.vt, vt::BLOB);
    // SAFETY: the component has written bytes of the kind's form, in a block that still lives; empty ones have a pointer too.
    unsafe {
        let bytes = result.value.bytes;
        assert!(!bytes.ptr.is_null());
        std::slice::from_raw_parts(bytes.ptr.cast::<u8>(), bytes.len as usize)
    }
}

/// How often a component of this test was done, and dropped.
pub fn counters() -> (usize, usize) {
    (diary().done.load(Ordering::Relaxed), diary().dropped.load(Ordering::Relaxed))
}
