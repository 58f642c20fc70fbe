//! Calls a test component through its vtables as a host does, in ways that no C++ host can: panics in every callback,
//! slots called one by one, variants of any bits.

use std::ffi::c_long;
use std::ptr;
use std::sync::atomic::Ordering;

use super::abi::*;
use super::component::{Application, HostInfo};
use super::object::Object;
use super::{exports, text};
use bench::*;

mod bench;

#[test]
#[cfg(not(windows))]
fn the_tables_have_the_words_of_an_itanium_table_before_them() {
    let bench = Bench::new();
    for number in 0..4 {
        // SAFETY: the table that the sub-object points to has two words before its first slot.
        unsafe {
            let slots = *bench.this(number).cast::<*const isize>();
            assert_eq!(*slots.sub(2), -((number * size_of::<usize>()) as isize));
            assert_eq!(*slots.sub(1), 0);
            assert!(*slots != 0 && *slots.add(1) != 0, "both destructors are there");
        }
    }
    bench.delete(0);
}

#[test]
fn a_deleting_destructor_of_any_base_says_done_once_and_frees() {
    for number in 0..4 {
        let (done, dropped) = counters();
        let bench = Bench::ready();
        bench.delete(number);
        assert_eq!(counters(), (done + 1, dropped + 1));
    }
    let (done, dropped) = counters();
    Bench::new().delete(0);
    assert_eq!(counters(), (done, dropped + 1), "no Done without Init");
}

#[test]
#[cfg(not(windows))]
fn a_complete_destructor_leaves_a_shell_that_answers_no() {
    let mut bench = Bench::ready();
    let (done, dropped) = counters();
    // SAFETY: the first slot of a live object, called for each base as a derived class would not even do.
    unsafe {
        for number in 0..4 {
            let this = bench.this(number);
            ((**this.cast::<*const Destructors>()).complete)(this);
        }
    }
    assert_eq!(counters(), (done + 1, dropped + 1));
    assert!(!bench.echo(variant(vt::NULL)).0);
    // SAFETY: the memory of the object is still there.
    unsafe {
        assert_eq!((bench.members().get_n_methods)(bench.this(1)), 0);
        assert_eq!(exports::DestroyObject(&mut bench.object), 0);
        assert!(bench.object.is_null());
        assert_eq!(exports::DestroyObject(&mut bench.object), 1);
        assert_eq!(exports::DestroyObject(ptr::null_mut()), 1);
    }
    assert_eq!(counters(), (done + 1, dropped + 1));
}

#[test]
fn an_object_is_made_only_for_a_known_name_and_an_empty_place() {
    let name = text::with_nul("Probe");
    let mut place: *mut Object = ptr::dangling_mut();
    // SAFETY: names end with NUL, places are ours.
    unsafe {
        assert_eq!(exports::create(CLASSES, name.as_ptr(), &mut place), 0, "the place is taken");
        assert_eq!(exports::create(CLASSES, name.as_ptr(), ptr::null_mut()), 0);
        place = ptr::null_mut();
        assert_eq!(exports::create(CLASSES, ptr::null(), &mut place), 0);
        assert_eq!(exports::create(CLASSES, text::with_nul("Prob").as_ptr(), &mut place), 0);
        *diary().panic_in.lock() = "create";
        assert_eq!(exports::create(CLASSES, name.as_ptr(), &mut place), 0);
        *diary().panic_in.lock() = "";
        assert!(place.is_null());
    }
}

#[test]
fn the_list_of_classes_is_terminated() {
    // SAFETY: that is what it promises.
    let names = unsafe { text::terminated(exports::GetClassNames()) };
    assert_eq!(names.as_deref(), Some("LicenceExtension"));
}

#[test]
fn a_panic_in_any_callback_stays_inside() {
    let mut bench = Bench::ready();
    let hello = text::with_nul("ru");
    let mut value = variant(vt::NULL);
    let diary = diary();
    let panics_in = |name| *diary.panic_in.lock() = name;

    panics_in("init");
    assert!(!bench.init());
    assert_eq!(
        bench.last_error(),
        "Probe|(EExecuteError) Внутренняя ошибка компоненты. Сообщите разработчику журнал компоненты."
    );
    panics_in("call");
    assert!(!bench.echo(variant(vt::NULL)).0);
    assert_eq!(bench.connection.errors.len(), 2);
    // SAFETY: members of a live object, places of ours, texts with NUL.
    unsafe {
        panics_in("get");
        assert!(!(bench.members().get_prop_val)(bench.this(1), 0, &mut value));
        assert_eq!(bench.connection.errors.len(), 3);
        panics_in("set");
        assert!(!(bench.members().set_prop_val)(bench.this(1), 0, &mut value));
        assert_eq!(bench.connection.errors.len(), 4);
        panics_in("locale");
        (methods::<Locale>(bench.this(2)).set)(bench.this(2), hello.as_ptr());
        panics_in("language");
        (methods::<Locale>(bench.this(3)).set)(bench.this(3), hello.as_ptr());
        panics_in("done");
        (bench.first().done)(bench.this(0));
    }
    panics_in("drop");
    let before = counters();
    bench.delete(0);
    assert_eq!(counters(), (before.0, before.1 + 1));
    panics_in("");
}

#[test]
fn a_null_object_is_answered() {
    let bench = Bench::ready();
    let nobody = ptr::null_mut();
    // SAFETY: NULL is allowed by all.
    unsafe {
        assert!(!(bench.first().init)(nobody, ptr::null_mut()));
        assert!(!(bench.first().set_mem_manager)(nobody, ptr::null_mut()));
        (bench.first().done)(nobody);
        assert_eq!((bench.members().get_n_props)(nobody), 0);
        assert_eq!((bench.members().find_prop)(nobody, ptr::null()), -1);
        assert!(!(bench.members().call_as_proc)(nobody, 0, ptr::null_mut(), 0));
    }
    bench.delete(0);
}

#[test]
fn null_in_the_place_of_any_pointer_is_answered() {
    let bench = Bench::ready();
    let (this, members) = (bench.this(1), bench.members());
    // SAFETY: NULL is allowed by all.
    unsafe {
        assert!(!(bench.first().init)(bench.this(0), ptr::null_mut()));
        assert!(!(members.register_extension_as)(this, ptr::null_mut()));
        assert_eq!((members.find_prop)(this, ptr::null()), -1);
        assert_eq!((members.find_method)(this, ptr::null()), -1);
        assert!(!(members.get_prop_val)(this, 0, ptr::null_mut()));
        assert!((members.set_prop_val)(this, 0, ptr::null_mut()), "a value that is not there is Неопределено");
        assert!(!(members.get_param_def_value)(this, 1, 1, ptr::null_mut()));
        assert!(!(members.call_as_func)(this, 0, ptr::null_mut(), ptr::null_mut(), 1));
        assert_eq!(
            bench.last_error(),
            "Probe|(EExecuteError) Эхо: передано параметров: 0, требуется: 1. Исправьте вызов."
        );
        assert!(!(members.call_as_proc)(this, 0, ptr::null_mut(), 1));
        let mut argument = variant(vt::NULL);
        assert!(!(members.call_as_func)(this, 0, ptr::null_mut(), &mut argument, 1), "nowhere to put the result");
        (methods::<Locale>(bench.this(2)).set)(bench.this(2), ptr::null());
        assert!(!(bench.first().set_mem_manager)(bench.this(0), ptr::null_mut()));
        assert!((members.get_prop_name)(this, 0, 0).is_null(), "the manager was taken away");
    }
    bench.delete(0);
}

#[test]
fn numbers_of_every_kind_are_read_and_written_as_integer_or_real() {
    let mut bench = Bench::ready();
    let cases: [(Variant, f64); 20] = [
        (number(vt::I1, |value| value.i1 = -7), -7.0),
        (number(vt::UI1, |value| value.ui1 = 250), 250.0),
        (number(vt::I2, |value| value.i2 = -30_000), -30_000.0),
        (number(vt::UI2, |value| value.ui2 = 60_000), 60_000.0),
        (number(vt::I4, |value| value.i4 = i32::MIN), f64::from(i32::MIN)),
        (number(vt::UI4, |value| value.ui4 = u32::MAX), f64::from(u32::MAX)),
        (number(vt::INT, |value| value.i4 = -1), -1.0),
        (number(vt::UINT, |value| value.ui4 = 3_000_000_000), 3e9),
        (number(vt::ERROR, |value| value.i4 = 5), 5.0),
        (number(vt::HRESULT, |value| value.i4 = -5), -5.0),
        (number(vt::I8, |value| value.i8 = 1 << 40), 1_099_511_627_776.0),
        (number(vt::I8, |value| value.i8 = i64::MIN), i64::MIN as f64),
        (number(vt::UI8, |value| value.ui8 = u64::MAX), u64::MAX as f64),
        (number(vt::UI8, |value| value.ui8 = 12), 12.0),
        (number(vt::R4, |value| value.r4 = 0.5), 0.5),
        (number(vt::R8, |value| value.r8 = 9099.0), 9099.0),
        (number(vt::R8, |value| value.r8 = -0.1), -0.1),
        (number(vt::R8, |value| value.r8 = f64::INFINITY), f64::INFINITY),
        (number(vt::I4, |value| value.i4 = i32::MAX), f64::from(i32::MAX)),
        (number(vt::I8, |value| value.i8 = i64::from(i32::MAX) + 1), 2_147_483_648.0),
    ];
    for (argument, expected) in cases {
        let (good, result) = bench.echo(argument);
        assert!(good);
        // SAFETY: the member that the kind names.
        let given = unsafe {
            match result.vt {
                vt::I4 => f64::from(result.value.i4),
                vt::R8 => result.value.r8,
                kind => panic!("kind {kind}"),
            }
        };
        assert_eq!(given, expected, "kind {}", argument.vt);
    }
    bench.delete(0);
}

#[test]
fn a_truth_value_may_be_any_byte() {
    let mut bench = Bench::ready();
    for byte in [0, 1, 2, 0x80, 0xFF] {
        let (good, result) = bench.echo(number(vt::BOOL, |value| value.boolean = byte));
        // SAFETY: the kind is checked.
        assert!(good && result.vt == vt::BOOL && unsafe { result.value.boolean } == u8::from(byte != 0));
    }
    bench.delete(0);
}

#[test]
fn texts_and_bytes_go_through_with_and_without_content() {
    let mut bench = Bench::ready();
    for content in ["", "Запуск", "a\0b", "\u{1F512}"] {
        let units: Vec<u16> = content.encode_utf16().collect();
        let wide = Wide { ptr: units.as_ptr().cast_mut(), len: units.len() as u32 };
        let (good, result) = bench.echo(number(vt::PWSTR, |value| value.wide = wide));
        assert!(good);
        assert_eq!(text_of(&result), content);
    }
    for kind in [vt::PWSTR, vt::PSTR] {
        let (good, result) = bench.echo(variant(kind));
        assert!(good, "no pointer and no length");
        assert_eq!(text_of(&result), "");
    }
    let mut narrow = *b"Licence\xFF";
    let bytes = Bytes { ptr: narrow.as_mut_ptr().cast(), len: 8 };
    assert_eq!(text_of(&bench.echo(number(vt::PSTR, |value| value.bytes = bytes)).1), "Licence\u{FFFD}");
    for content in [vec![], vec![0, 255, 10, 13], vec![7; 3_000_000]] {
        let bytes = Bytes { ptr: content.as_ptr().cast_mut().cast(), len: content.len() as u32 };
        let (good, result) = bench.echo(number(vt::BLOB, |value| value.bytes = bytes));
        assert!(good && result.vt == vt::BLOB);
        assert_eq!(bytes_of(&result), content);
    }
    bench.delete(0);
}

#[test]
fn promised_bytes_are_made_in_memory_of_the_host_with_no_lock_held() {
    let mut bench = Bench::ready();
    bench.memory.reentered = bench.object.cast();
    for (text, made) in [("abcdefgh", "gfedcba"), ("x", ""), ("", "")] {
        let (good, result) = bench.promise(text);
        assert!(good && result.vt == vt::BLOB);
        assert_eq!(bytes_of(&result), made.as_bytes());
    }
    assert_eq!((bench.memory.blocks.len(), bench.memory.given_back.len()), (3, 0), "one block each");
    bench.delete(0);
}

#[test]
fn a_promise_that_cannot_be_kept_is_a_refusal_and_its_memory_goes_back_wiped() {
    let mut bench = Bench::ready();
    let (good, result) = bench.promise("-secret-bytes-16");
    assert!(good && result.vt == vt::EMPTY, "a refusal is a value");
    assert_eq!(*diary().refused.lock(), Some(licence::Code::ObjectDamaged));
    assert_eq!(bench.connection.errors.len(), 0);
    let (good, result) = bench.promise("!secret-bytes-16");
    assert!(!good && result.vt == vt::EMPTY);
    assert!(bench.last_error().contains("Внутренняя ошибка"), "{}", bench.last_error());
    assert!(bench.memory.blocks.is_empty());
    assert_eq!(bench.memory.given_back, [vec![0; 2].into_boxed_slice(), vec![0; 2].into_boxed_slice()]);
    // SAFETY: a live object, whose host takes its memory away.
    assert!(!unsafe { (bench.first().set_mem_manager)(bench.this(0), ptr::null_mut()) });
    assert!(!bench.promise("text").0);
    assert!(bench.last_error().contains("памят"), "{}", bench.last_error());
    bench.delete(0);
}

#[test]
fn impossible_variants_are_refused_and_named() {
    let mut bench = Bench::ready();
    for kind in 0..=u16::MAX {
        let known = kind <= vt::BLOB && kind != 9 && kind != 12;
        let (good, result) = bench.echo(variant(kind));
        // A zero `struct tm` has no day.
        assert_eq!(good, known && kind != vt::TM, "kind {kind}");
        assert!(good || result.vt == vt::EMPTY);
    }
    assert_eq!(
        bench.last_error(),
        "Probe|(EExecuteError) Эхо: неверный параметр: параметр 1 имеет неподдерживаемый тип 65535. Исправьте вызов."
    );
    for kind in [vt::PWSTR, vt::PSTR, vt::BLOB] {
        let (good, _) = bench.echo(number(kind, |value| value.bytes = Bytes { ptr: ptr::null_mut(), len: 10 }));
        assert!(!good, "length without a pointer");
        assert!(bench.last_error().contains("параметр 1 содержит недопустимые данные"), "{}", bench.last_error());
    }
    bench.delete(0);
}

#[test]
fn omitted_arguments_get_their_defaults() {
    let bench = Bench::ready();
    let (this, members) = (bench.this(1), bench.members());
    // SAFETY: method 1 with arrays of the length given.
    unsafe {
        assert_eq!((members.get_n_params)(this, 1), 4);
        let mut value = variant(vt::R8);
        assert!(!(members.get_param_def_value)(this, 1, 0, &mut value));
        assert_eq!(value.vt, vt::EMPTY);
        assert!((members.get_param_def_value)(this, 1, 1, &mut value));
        assert_eq!(text_of(&value), "нет");
        assert!((members.get_param_def_value)(this, 1, 3, &mut value));
        assert_eq!((value.vt, value.value.boolean), (vt::BOOL, 1));

        assert!(!(members.has_ret_val)(this, 1));
        let mut arguments = [variant(vt::NULL), variant(vt::EMPTY), number(vt::I4, |value| value.i4 = 1)];
        for count in 1..=3 {
            let mut result = variant(vt::EMPTY);
            assert!((members.call_as_func)(this, 1, &mut result, arguments.as_mut_ptr(), count));
            assert_eq!(result.vt, vt::EMPTY, "a procedure has no result");
        }
        assert!((members.call_as_proc)(this, 0, arguments.as_mut_ptr(), 1), "a function called as a procedure");
        for count in [0, 5, -1, c_long::MAX] {
            assert!(!(members.call_as_proc)(this, 1, arguments.as_mut_ptr(), count));
            assert!(bench.last_error().contains("требуется: 1–4"), "{}", bench.last_error());
        }
    }
    bench.delete(0);
}

#[test]
fn a_wrong_call_is_told_to_the_component_before_the_host() {
    let bench = Bench::ready();
    let (this, members) = (bench.this(1), bench.members());
    let told = || diary().failed.lock().take();
    let mut value = variant(vt::EMPTY);
    // SAFETY: members of a live object, places of ours; numbers that no member has are allowed.
    unsafe {
        for (number, code) in [(99, licence::Code::MemberUnknown), (-1, licence::Code::MemberUnknown)] {
            assert!(!(members.call_as_func)(this, number, &mut value, ptr::null_mut(), 0));
            assert_eq!(told(), Some(code), "method {number}");
            assert!(!(members.get_prop_val)(this, number, &mut value));
            assert_eq!(told(), Some(code), "property {number}");
        }
        assert!(!(members.call_as_func)(this, 0, &mut value, ptr::null_mut(), 0));
        assert_eq!(told(), Some(licence::Code::ArgumentCount));
        assert!(!(members.call_as_func)(this, 2, &mut value, ptr::null_mut(), 0));
        assert_eq!(told(), Some(licence::Code::NoObject));
    }
    bench.delete(0);
}

#[test]
fn a_failure_becomes_an_error_of_the_host_with_no_lock_held() {
    let mut bench = Bench::ready();
    bench.connection.reentered = bench.object.cast();
    let mut result = variant(vt::EMPTY);
    // SAFETY: method 2 takes no arguments.
    assert!(!unsafe { (bench.members().call_as_func)(bench.this(1), 2, &mut result, ptr::null_mut(), 0) });
    assert_eq!(
        bench.last_error(),
        "Probe|(EExecuteError) В данных защиты нет объекта \"а\\u{0}б\". Проверьте имя объекта и загруженные данные защиты."
    );
    // SAFETY: property 1 exists.
    assert!(!unsafe { (bench.members().get_prop_val)(bench.this(1), 1, &mut result) });
    assert_eq!(
        bench.last_error(),
        "Probe|(EExecuteError) Секрет: неверный параметр: свойство доступно только для записи. Исправьте вызов."
    );
    bench.delete(0);
}

#[test]
fn the_host_is_asked_only_for_what_its_level_has() {
    let version = text::with_nul("8.3.27.1508");
    let info = AppInfo { version: version.as_ptr(), user_agent: ptr::null(), app_type: 3 };
    let mut platform = TestPlatform { base: PlatformInfo { table: &PLATFORM_TABLE }, info };
    let mut attached = AttachedInfo { table: &ATTACHED_TABLE };
    let server = HostInfo {
        version: Some("8.3.27.1508".into()),
        user_agent: None,
        application: Application::Server,
        isolated: Some(true),
    };
    let not_told = HostInfo { isolated: None, ..server.clone() };
    for (level, expected) in [(3, server), (1, not_told), (0, HostInfo::default()), (-1, HostInfo::default())] {
        let mut bench = Bench::new();
        bench.connection.platform = (&raw mut platform).cast();
        bench.connection.attached = &raw mut attached;
        // The level is one for the library, so no other test may depend on it: introduce at once.
        // SAFETY: a live connection.
        let link = unsafe { super::host::Link::new((&raw mut *bench.connection).cast()) };
        assert_eq!(link.map(|link| link.introduce(level)), Some(expected), "level {level}");
        bench.delete(0);
    }
    let mut bench = Bench::new();
    bench.connection.platform = (&raw mut platform).cast();
    assert!(bench.init());
    assert_eq!(diary().host.lock().application, Application::Server);
    bench.delete(0);
}

#[test]
fn locale_and_language_reach_the_component_and_the_errors() {
    let mut bench = Bench::ready();
    let (english, code) = (text::with_nul("en_US"), text::with_nul("en"));
    // SAFETY: texts end with NUL.
    unsafe {
        (methods::<Locale>(bench.this(2)).set)(bench.this(2), english.as_ptr());
        (methods::<Locale>(bench.this(3)).set)(bench.this(3), code.as_ptr());
    }
    assert_eq!(*diary().locale.lock(), "en_USen");
    assert!(!bench.echo(variant(9)).0);
    assert_eq!(
        bench.last_error(),
        "Probe|(EExecuteError) Echo: wrong argument: argument 1 has the unsupported type 9. Correct the call."
    );
    bench.delete(0);
}

#[test]
fn done_forgets_the_host_and_init_brings_it_back() {
    let mut bench = Bench::ready();
    let errors = bench.connection.errors.len();
    // SAFETY: a live object.
    unsafe {
        (bench.first().done)(bench.this(0));
        (bench.first().done)(bench.this(0));
    }
    assert_eq!(diary().done.load(Ordering::Relaxed), 1, "once");
    assert!(!bench.echo(variant(9)).0);
    assert_eq!(bench.connection.errors.len(), errors, "the connection is not used");
    assert!(bench.init());
    assert!(!bench.echo(variant(9)).0);
    assert_eq!(bench.connection.errors.len(), errors + 1);
    bench.delete(0);
    assert_eq!(diary().done.load(Ordering::Relaxed), 2);
}
