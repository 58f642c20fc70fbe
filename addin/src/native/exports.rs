//! The five functions that 1C looks up in the library, and the list of classes that they serve.
//! Plain C convention on every system: 1C's own libraries for 32-bit Windows have it too.

use std::ffi::c_long;
use std::ptr;

use super::abi::{ATTACH_ANY, Unit};
use super::component::Class;
use super::guard;
use super::object::{self, Object};
use super::text;
use super::vtable;

/// Names of the classes, separated by `|`, with a NUL after the last. Made at compile time: the list must stay readable
/// for the life of the library, and leaves nothing behind when that ends.
static NAMES: [Unit; 256] = names(crate::CLASSES);

const fn names(classes: &[Class]) -> [Unit; 256] {
    let mut units = [0; 256];
    let (mut class, mut end) = (0, 0);
    while class < classes.len() {
        if class > 0 {
            units[end] = b'|' as Unit;
            end += 1;
        }
        let name = classes[class].name.as_bytes();
        let mut place = 0;
        while place < name.len() {
            assert!(name[place].is_ascii_alphanumeric(), "a class name is plain ASCII");
            units[end] = name[place] as Unit;
            place += 1;
            end += 1;
        }
        class += 1;
    }
    assert!(end < units.len(), "the list ends with a NUL");
    units
}

/// The list of class names; the library keeps it.
#[unsafe(no_mangle)]
pub extern "C" fn GetClassNames() -> *const Unit {
    NAMES.as_ptr()
}

/// Creates an object; 0 if there is no such class, `out` is NULL, or it holds an object already.
///
/// # Safety
/// `name` is NULL or ends with a NUL, `out` is NULL or may be read and written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn GetClassObject(name: *const Unit, out: *mut *mut Object) -> c_long {
    // SAFETY: the caller promises it.
    unsafe { create(crate::CLASSES, name, out) }
}

/// # Safety
/// As of [`GetClassObject`].
pub(super) unsafe fn create(classes: &'static [Class], name: *const Unit, out: *mut *mut Object) -> c_long {
    guard::entry(0, || {
        // SAFETY: the caller promises it.
        let Some(name) = (unsafe { text::terminated(name) }) else { return 0 };
        let Some(class) = object::find_class(classes, &name) else { return 0 };
        // SAFETY: the caller promises it. An object already there would be lost without a trace.
        if out.is_null() || !unsafe { *out }.is_null() {
            return 0;
        }
        let object = Box::into_raw(Object::create(class));
        // SAFETY: `out` is not NULL.
        unsafe { *out = object };
        1
    })
}

/// Destroys an object and clears the pointer to it; 0 if done, 1 if there was none.
///
/// # Safety
/// `object` is NULL or points to NULL or to an object of [`GetClassObject`] that nobody else uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DestroyObject(object: *mut *mut Object) -> c_long {
    guard::entry(1, || {
        // SAFETY: the caller promises it.
        if object.is_null() || unsafe { *object }.is_null() {
            return 1;
        }
        // SAFETY: the caller promises it.
        unsafe {
            vtable::delete(*object);
            *object = ptr::null_mut();
        }
        0
    })
}

/// Takes the level of the host and answers with ours: 3, an object with four bases.
#[unsafe(no_mangle)]
pub extern "C" fn SetPlatformCapabilities(level: i32) -> i32 {
    object::agree_on_level(level)
}

/// The library may be loaded into the application and into a process of its own.
#[unsafe(no_mangle)]
pub extern "C" fn GetAttachType() -> i32 {
    ATTACH_ANY
}
