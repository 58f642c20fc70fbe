//! The memory of a key in the API: whether there is one and what closes it, never what is in it. An administrator takes lost or
//! foreign passwords away here; whoever sets new ones is protected code with a seat.

use licence::error::Result;
use licence::{KeyId, KeyNo, RootHash, SeriesId};
use schemars::JsonSchema;
use serde::Serialize;

use super::Call;
use super::licences::named_key;
use crate::Core;

/// Answer of `GET /api/licences/{KeyNo}/memory`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MemoryInfo {
    #[serde(rename = "KeyID")]
    key_id: KeyId,
    series_key: RootHash,
    key_no: KeyNo,
    /// Characters that are kept; 0: nothing was written.
    pub length: usize,
    /// Whether reading asks for a password.
    pub read_password: bool,
    /// Whether writing asks for one.
    pub write_password: bool,
}

/// What may be told of the memory of a key. Reads a file.
pub fn memory_info(core: &Core, series: SeriesId, key_no: KeyNo) -> Result<MemoryInfo> {
    let memory = core.keys.memory().of(&series, key_no)?.unwrap_or_default();
    Ok(MemoryInfo {
        key_id: series.key_id,
        series_key: series.root,
        key_no,
        length: memory.data.chars().count(),
        read_password: !memory.read_password.is_empty(),
        write_password: !memory.write_password.is_empty(),
    })
}

/// `GET /api/licences/{KeyNo}/memory`.
pub fn show(call: &Call) -> Result<MemoryInfo> {
    let (series, key_no) = named_key(&call.core, &call.request, call.params.get("KeyNo"))?;
    memory_info(&call.core, series, key_no)
}

/// `DELETE /api/licences/{KeyNo}/memory/passwords`: what is in the memory stays, and is open until passwords are set again.
pub fn remove_passwords(call: &Call) -> Result<MemoryInfo> {
    let (series, key_no) = named_key(&call.core, &call.request, call.params.get("KeyNo"))?;
    call.core.keys.memory().remove_passwords(&series, key_no)?;
    memory_info(&call.core, series, key_no)
}
