//! The class and its handles against servers in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use licence::datafile::{self, Contents, Part, Plain};
use licence::id::Bytes32;
use licence::protocol::keys::{Deactivate, Hidden, Install, KeyCall, Wish};
use licence::subkeys::{Policy, SeriesSecret};
use licence::time::Time;

use super::*;
use crate::client::OBJECT_LIMIT;
use crate::client::tests::server::{Network, SERIES, claim, licence_for, root, wanted};
use crate::native::Maker;

mod limits;
mod members;
mod objects;
mod secrets;

const ROOT: &[u8] = include_bytes!("../../../../golden/test-root.pk8");
const ISSUING: &[u8] = include_bytes!("../../../../golden/test-issuing.pk8");

/// A datafile with an object that needs a seat and one that does not.
fn packed(root: &[u8], key_id: KeyId) -> Vec<u8> {
    let object = |name: &str, seat| Plain {
        name: name.into(),
        policy: Policy { seat, ..Policy::default() },
        bytes: format!("text of {name}").into_bytes(),
    };
    let objects = vec![object("Обработка", true), object("Открытая.Часть", false)];
    let contents = Contents { key_id, created: Time(0), salt: Bytes32([3; 32]), revoked: Vec::new(), objects };
    let root = licence::crypto::Crypto::rsa_signer(&PROVIDER, root).unwrap();
    datafile::pack(&PROVIDER, &*root, &SeriesSecret::new([7; 32]), contents).unwrap()
}

fn start(network: &Arc<Network>, wanted: Wanted) -> licence::Result<Slot> {
    let slot = Slot::enter(&PROVIDER, wanted, vec![network.endpoint("a")], || network.nets())?;
    slot.started.connect().map(|()| slot)
}

fn slot(network: &Arc<Network>, wanted: Wanted) -> Slot {
    start(network, wanted).unwrap()
}

fn code<T>(result: licence::Result<T>) -> Code {
    result.err().expect("a refusal").code
}

/// Opens an object as the border does for 1C.
fn open(slot: &mut Slot, name: &str) -> licence::Result<Vec<u8>> {
    let sealed = slot.object(name)?;
    let mut memory = sealed.parts().concat();
    let length = sealed.make(&mut memory)?;
    memory.truncate(length);
    Ok(memory)
}

fn bytes(slot: &mut Slot, name: &str) -> String {
    String::from_utf8(open(slot, name).unwrap()).unwrap()
}

fn call(
    object: &mut LicenceExtension,
    method: fn(&mut LicenceExtension, &mut [Value]) -> Result<Value, Failure>,
    arguments: Vec<Value>,
) -> Value {
    let mut arguments = arguments;
    method(object, &mut arguments).expect("no error of 1C")
}

/// A datafile of the series with one object that needs a seat, `text` in it.
fn file(created: i64, revoked: &[u32], text: &[u8]) -> Vec<u8> {
    let object = Plain { name: "Обработка".into(), policy: Policy::default(), bytes: text.to_vec() };
    let contents = Contents {
        key_id: SERIES,
        created: Time(created),
        salt: Bytes32([4; 32]),
        revoked: revoked.to_vec(),
        objects: vec![object],
    };
    let root = licence::crypto::Crypto::rsa_signer(&PROVIDER, ROOT).unwrap();
    datafile::pack(&PROVIDER, &*root, &SeriesSecret::new([7; 32]), contents).unwrap()
}
