//! What the component asks of the host through the connection: errors, and who the host is.
//! Nothing else of it is used: the rest does not work on servers.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::abi::{
    AppInfo, AttachedInfo, Connection, ERROR_FAIL, INTERFACE_SHIFT, PlatformInfo, capabilities, interface,
};
use super::component::{Application, HostInfo};
use super::text;

/// The connection that the host gave to Init.
#[derive(Clone, Copy)]
pub struct Link(NonNull<Connection>);

impl Link {
    /// Wraps the connection; `None` for NULL.
    ///
    /// # Safety
    /// The connection stays valid as long as the value or a copy of it is used.
    pub unsafe fn new(connection: *mut Connection) -> Option<Self> {
        NonNull::new(connection).map(Self)
    }

    /// Makes an error an exception of the calling 1C code. The result of the host does not matter: an error that
    /// can't be shown still makes the call return false.
    pub fn add_error(self, source: &str, text: &str) {
        let (source, description) = (text::with_nul(source), text::with_nul(text));
        // SAFETY: `new` promises a valid connection; both texts end with a NUL and outlive the call.
        unsafe {
            ((*(*self.0.as_ptr()).table).add_error)(
                self.0.as_ptr(),
                ERROR_FAIL,
                source.as_ptr(),
                description.as_ptr(),
                ERROR_FAIL.into(),
            );
        }
    }

    /// Asks the host who it is. `level` is what it told `SetPlatformCapabilities`: below the first level the connection
    /// has no function for that and must not be asked.
    pub fn introduce(self, level: i32) -> HostInfo {
        let mut host = HostInfo::default();
        if level >= capabilities::INTERFACES {
            self.platform(&mut host);
        }
        if level >= capabilities::ATTACHED_INFO {
            host.isolated = self.isolated();
        }
        host
    }

    fn platform(self, host: &mut HostInfo) {
        let Some(platform) = self.interface(interface::PLATFORM_INFO) else { return };
        let platform = platform.cast::<PlatformInfo>().as_ptr();
        // SAFETY: the host answered with its IPlatformInfo, and what that returns stays valid while we copy it.
        unsafe {
            let info: *const AppInfo = ((*(*platform).table).get_platform_info)(platform);
            if let Some(info) = info.as_ref() {
                host.version = text::terminated(info.version);
                host.user_agent = text::terminated(info.user_agent);
                host.application = application(info.app_type);
            }
        }
    }

    fn isolated(self) -> Option<bool> {
        let attached = self.interface(interface::ATTACHED_INFO)?.cast::<AttachedInfo>().as_ptr();
        // SAFETY: the host answered with its IAttachedInfo.
        match unsafe { ((*(*attached).table).get_attached_info)(attached) } {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        }
    }

    fn interface(self, id: i32) -> Option<NonNull<c_void>> {
        // SAFETY: `new` promises a valid connection, and `introduce` that it has this function.
        let given = unsafe { ((*(*self.0.as_ptr()).table).get_interface)(self.0.as_ptr(), id) };
        let given = NonNull::new(given)?;
        NonNull::new(given.as_ptr().wrapping_byte_sub(INTERFACE_SHIFT * size_of::<*const c_void>()))
    }
}

fn application(kind: i32) -> Application {
    match kind {
        0 => Application::ThinClient,
        1 => Application::ThickClient,
        2 => Application::WebClient,
        3 => Application::Server,
        4 => Application::ExternalConnection,
        5 => Application::MobileClient,
        6 => Application::MobileServer,
        _ => Application::Unknown,
    }
}
