//! Keys that are bound to USB carriers, with carriers that a test plugs in and pulls.

use std::sync::Arc;

use licence::KeyNo;
use licence::key::{Binding, KeyType};
use parking_lot::Mutex;
use service::keys::Carriers;

use crate::bench::*;

/// Carriers in a test's hands.
#[derive(Clone, Default)]
struct Plugs(Arc<Mutex<Vec<KeyNo>>>);

impl Carriers for Plugs {
    fn present(&self) -> Vec<KeyNo> {
        self.0.lock().clone()
    }
}

fn bench(name: &str, plugs: &Plugs) -> Bench {
    Bench::over(name, "[Console]\nPassword=another password\n", Box::new(plugs.clone()))
}

#[test]
fn a_key_on_a_carrier_counts_while_the_carrier_is_plugged_in_and_a_main_one_a_little_longer() {
    let plugs = Plugs::default();
    let bench = bench("plugged", &plugs);
    bench.install(1, |licence| licence.binding = Binding::Blank(77));
    bench.install(2, |licence| {
        licence.binding = Binding::Blank(78);
        licence.key_type = KeyType::Additional;
    });
    let usable = || bench.errors().iter().map(|(_, error)| error.is_none()).collect::<Vec<_>>();
    assert_eq!(usable(), [false, false]);
    plugs.0.lock().extend([77, 78]);
    bench.service.reload_keys();
    assert_eq!((usable(), bench.seats()), (vec![true, true], 10));
    assert_eq!(bench.get("/api/licences/1").1["BlankKeyNo"], 77);

    plugs.0.lock().clear();
    bench.service.reload_keys();
    assert_eq!(usable(), [true, false], "a main key has a grace, an additional one has none");
    bench.clock.advance(61_000);
    bench.service.reload_keys();
    assert_eq!(usable(), [false, false]);
}
