//! Reads arguments out of foreign variants and writes results into them.
//! Trusts no bit of a variant but its pointers together with their lengths.

use std::ffi::c_int;
use std::ptr;

use jiff::SignedDuration;
use jiff::civil::{self, DateTime};

use super::abi::{Bytes, Tm, Unit, Variant, vt};
use super::fault::Unreadable;
use super::memory::Memory;
use super::value::{Maker, Value};

const DAY: f64 = 86_400.0;

/// Reads a value; all numeric kinds are read alike.
///
/// # Safety
/// `variant` points to a variant whose string or bytes, if its kind says that it has some, are readable for the length
/// that stands beside them.
pub unsafe fn read(variant: *const Variant) -> Result<Value, Unreadable> {
    // SAFETY: the caller promises a variant. Every member of the union accepts all bits, so a copy and the reads below
    // are defined whatever the kind.
    let Variant { value, vt: kind, .. } = unsafe { *variant };
    // SAFETY: see above; the pointers inside are followed only for the kinds that have them, as the caller promises.
    unsafe {
        Ok(match kind {
            vt::EMPTY => Value::Undefined,
            vt::NULL => Value::Null,
            vt::BOOL => Value::Bool(value.boolean != 0),
            vt::I1 => Value::Int(value.i1.into()),
            vt::UI1 => Value::Int(value.ui1.into()),
            vt::I2 => Value::Int(value.i2.into()),
            vt::UI2 => Value::Int(value.ui2.into()),
            vt::I4 | vt::INT | vt::ERROR | vt::HRESULT => Value::Int(value.i4.into()),
            vt::UI4 | vt::UINT => Value::Int(value.ui4.into()),
            vt::I8 => Value::Int(value.i8),
            vt::UI8 => i64::try_from(value.ui8).map_or(Value::Number(value.ui8 as f64), Value::Int),
            vt::R4 => Value::Number(value.r4.into()),
            vt::R8 => Value::Number(value.r8),
            vt::DATE => Value::Date(from_days(value.r8).ok_or(Unreadable::Content)?),
            vt::TM => Value::Date(from_tm(&value.tm).ok_or(Unreadable::Content)?),
            vt::PWSTR => {
                let units: Vec<Unit> = copy(value.wide.ptr, value.wide.len)?;
                Value::Text(String::from_utf16_lossy(&units))
            }
            vt::PSTR => {
                let bytes: Vec<u8> = copy(value.bytes.ptr.cast(), value.bytes.len)?;
                Value::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            vt::BLOB => Value::Blob(copy(value.bytes.ptr.cast(), value.bytes.len)?),
            unknown => return Err(Unreadable::Kind(unknown)),
        })
    }
}

/// Copies `len` items; NULL is right only for none.
///
/// # Safety
/// `items` is readable for `len` items, or NULL.
unsafe fn copy<T: Copy>(items: *const T, len: u32) -> Result<Vec<T>, Unreadable> {
    let len = usize::try_from(len).map_err(|_| Unreadable::Content)?;
    let mut copied = Vec::new();
    if len == 0 {
        return Ok(copied);
    }
    if items.is_null() || copied.try_reserve_exact(len).is_err() {
        return Err(Unreadable::Content);
    }
    // SAFETY: the source is readable for `len` items, the reserved target is not part of it. Bytes are copied, so the
    // host's pointer needs no alignment. All items are then initialised.
    unsafe {
        ptr::copy_nonoverlapping(items.cast::<u8>(), copied.as_mut_ptr().cast::<u8>(), len * size_of::<T>());
        copied.set_len(len);
    }
    Ok(copied)
}

/// Why a result was not written.
pub enum Unwritten {
    /// The host has no memory for it.
    NoMemory,
    /// What was promised could not be made.
    Refused(licence::Error),
}

/// Writes a result, with memory of the host for texts and bytes. If that fails the result is empty.
///
/// # Safety
/// `out` points to a variant that may be overwritten; what it held is not freed.
pub unsafe fn write(out: *mut Variant, value: &Value, memory: Option<Memory>) -> Result<(), Unwritten> {
    let memory = || memory.ok_or(Unwritten::NoMemory);
    // SAFETY: the caller promises a variant; members of a union may be written without reading what was there.
    unsafe {
        (*out).vt = vt::EMPTY;
        (*out).vt = match value {
            Value::Undefined => vt::EMPTY,
            Value::Null => vt::NULL,
            Value::Bool(flag) => {
                (*out).value.boolean = (*flag).into();
                vt::BOOL
            }
            Value::Int(number) => match i32::try_from(*number) {
                Ok(number) => {
                    (*out).value.i4 = number;
                    vt::I4
                }
                Err(_) => {
                    (*out).value.r8 = *number as f64;
                    vt::R8
                }
            },
            Value::Number(number) => {
                (*out).value.r8 = *number;
                vt::R8
            }
            Value::Date(date) => {
                (*out).value.tm = to_tm(*date);
                vt::TM
            }
            Value::Text(text) => {
                (*out).value.wide = memory()?.text(text).ok_or(Unwritten::NoMemory)?;
                vt::PWSTR
            }
            Value::Blob(bytes) => {
                (*out).value.bytes = memory()?.bytes(bytes).ok_or(Unwritten::NoMemory)?;
                vt::BLOB
            }
            Value::Promise(promise) => {
                (*out).value.bytes = keep(promise.maker(), memory()?)?;
                vt::BLOB
            }
        };
    }
    Ok(())
}

/// Makes promised bytes in memory of the host.
fn keep(maker: &dyn Maker, memory: Memory) -> Result<Bytes, Unwritten> {
    let parts = maker.parts();
    let room = parts.iter().map(|part| part.len()).sum();
    let mut block = memory.block(room).ok_or(Unwritten::NoMemory)?;
    parts.into_iter().try_for_each(|part| block.push(part)).ok_or(Unwritten::NoMemory)?;
    let len = maker.make(block.filled()).map_err(Unwritten::Refused)?;
    block.into_bytes(len).ok_or(Unwritten::NoMemory)
}

/// A date as days since 1899-12-30; before that day the fraction still counts forward from midnight.
fn from_days(days: f64) -> Option<DateTime> {
    // Wider than all years that exist in 1C, and safely inside the integers.
    if !(-1e7..1e7).contains(&days) {
        return None;
    }
    let seconds = days.trunc() * DAY + (days.fract().abs() * DAY).round();
    civil::date(1899, 12, 30).at(0, 0, 0, 0).checked_add(SignedDuration::from_secs(seconds as i64)).ok()
}

fn from_tm(tm: &Tm) -> Option<DateTime> {
    let part = |number: c_int| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(tm.year.checked_add(1900)?).ok()?,
        part(tm.mon.checked_add(1)?)?,
        part(tm.mday)?,
        part(tm.hour)?,
        part(tm.min)?,
        // A leap second has no place in 1C.
        part(tm.sec)?.min(59),
        0,
    )
    .ok()
}

fn to_tm(date: DateTime) -> Tm {
    Tm {
        sec: date.second().into(),
        min: date.minute().into(),
        hour: date.hour().into(),
        mday: date.day().into(),
        mon: c_int::from(date.month()) - 1,
        year: c_int::from(date.year()) - 1900,
        wday: date.weekday().to_sunday_zero_offset().into(),
        yday: c_int::from(date.day_of_year()) - 1,
        isdst: 0,
        #[cfg(not(windows))]
        gmtoff: 0,
        #[cfg(not(windows))]
        zone: ptr::null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_days_count_from_the_end_of_1899() {
        let date = |year, month, day, hour, minute, second| civil::date(year, month, day).at(hour, minute, second, 0);
        assert_eq!(from_days(0.0), Some(date(1899, 12, 30, 0, 0, 0)));
        assert_eq!(from_days(2.5), Some(date(1900, 1, 1, 12, 0, 0)));
        assert_eq!(from_days(-1.25), Some(date(1899, 12, 29, 6, 0, 0)));
        assert_eq!(from_days(45_658.0 + 86_399.0 / DAY), Some(date(2025, 1, 1, 23, 59, 59)));
        assert_eq!(from_days(-693_593.0), Some(date(1, 1, 1, 0, 0, 0)));
        for impossible in [f64::NAN, f64::INFINITY, 1e300, -9e6] {
            assert_eq!(from_days(impossible), None, "{impossible}");
        }
    }

    #[test]
    fn broken_down_dates_go_there_and_back() {
        for date in [civil::date(1, 1, 1).at(0, 0, 0, 0), civil::date(2024, 2, 29).at(23, 59, 59, 0)] {
            assert_eq!(from_tm(&to_tm(date)), Some(date));
        }
        let tm = to_tm(civil::date(2024, 2, 29).at(0, 0, 0, 0));
        assert_eq!((tm.year, tm.mon, tm.mday, tm.wday, tm.yday), (124, 1, 29, 4, 59));
        for broken in [Tm { mday: 0, ..tm }, Tm { mon: 12, ..tm }, Tm { year: c_int::MAX, ..tm }, Tm { mday: 30, ..tm }]
        {
            assert_eq!(from_tm(&broken), None);
        }
        assert_eq!(from_tm(&Tm { sec: 60, ..tm }).map(|date| date.second()), Some(59));
    }
}
