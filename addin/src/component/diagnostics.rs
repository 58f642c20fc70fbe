//! What support asks for, in one block of JSON: versions, paths, servers, bases. No secrets, no names of users.

use licence::accounting::Base;
use licence::error::Lang;
use licence::host::os;
use licence::version::{CPU, OS, VERSION};
use serde_json::{Value, json};

use super::anchors;
use super::process;
use super::slot::Slot;
use super::{LicenceExtension, parameters};

/// The block for one object.
pub fn of(object: &LicenceExtension) -> Value {
    let host = &object.host;
    let is_server = process::is_server(host);
    let conf = parameters::Conf::read(&object.paths(), is_server);
    let module = process::module();
    let anchors = anchors::of_library(&module);
    let slots = object.slots.iter().enumerate();
    json!({
        "Version": VERSION,
        "OS": OS,
        "CPU": CPU,
        "OSVersion": os::os_version(),
        "ComputerName": os::computer_name(),
        "ComputerID": process::computer_id(),
        "Module": module,
        "LibraryAnchors": anchors.as_ref().ok().map(|trailer| trailer.iter().flat_map(|trailer| trailer.anchors()).collect::<Vec<_>>()),
        "LibraryAnchorsError": anchors.as_ref().err().map(|error| error.message(Lang::English)),
        "Process": os::executable(),
        "PID": std::process::id(),
        "IsServer": is_server,
        "Terminal": process::terminal().is_some(),
        "PlatformVersion": host.version,
        "Application": format!("{:?}", host.application),
        "Isolated": host.isolated,
        "SettingsFile": conf.as_ref().ok().and_then(|conf| conf.as_ref()).map(|conf| conf.path.clone()),
        "SettingsError": conf.as_ref().err().map(|error| error.message(Lang::English)),
        "LogFile": object.writing.as_ref().and_then(|writing| writing.path()),
        "LastError": object.last.as_ref().map(|error| error.message(Lang::English)),
        "Series": slots.filter_map(|(at, slot)| Some(series(at + 1, slot.as_ref()?))).collect::<Vec<_>>(),
    })
}

fn series(handle: usize, slot: &Slot) -> Value {
    let series = &slot.started;
    let connections = series.connections();
    let servers = connections.iter().map(|connection| {
        json!({
            "Address": connection.endpoint.to_string(),
            "Version": connection.hello.version,
            "OS": connection.hello.os,
            "CPU": connection.hello.cpu,
            "ComputerName": connection.hello.computer,
            "Proven": connection.is_proven,
            "LedgerWentBackFrom": connection.went_back_from,
        })
    });
    let held = slot.session().and_then(|session| session.held());
    let lost = slot.session().and_then(|session| session.lost());
    json!({
        "Handle": handle,
        "KeyID": series.wanted.key_id,
        "Anchor": series.wanted.anchor.is_some(),
        "Addresses": series.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Servers": servers.collect::<Vec<_>>(),
        "Base": slot.base.map(|base| match base {
            Base::File => "File",
            Base::Server => "Server",
            Base::Web => "Web",
        }),
        "IsServerSession": slot.session().and_then(|session| session.claim.session.is_server),
        "LicenceFrom": held.as_ref().map(|held| held.connection.endpoint.to_string()),
        "UsedLicence": held.as_ref().map(|held| held.key_no),
        "LicenceLost": lost.map(|error| error.message(Lang::English)),
        "ProtectionData": slot.data.loaded().iter().map(|(alias, datafile)| json!({
            "Alias": alias,
            "Created": datafile.index.created,
            "Objects": datafile.index.objects.len(),
        })).collect::<Vec<_>>(),
    })
}
