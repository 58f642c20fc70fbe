//! How a store that failed is used again while the server runs. Unlike a start this never makes a store, and takes none that is another
//! one or knows less than what was answered: it waits for the same files to come back.

use std::path::Path;

use licence::accounting::SessionRecord;
use licence::error::{Code, Error, Result};
use licence::id::StoreId;
use licence::time::Moment;

use super::notes::Notes;
use super::parameters::Parameters;
use super::store::{CommitHook, FILE, Store};
use super::watch::Watch;
use crate::folder::is_loss;

/// A store that can't be used now.
pub enum Failed {
    /// Its files are gone or others. It stays open: it may have the only copy of what was unlinked, and goes on when they are back.
    Lost(Box<Store>),
    /// It did not take a write and was closed, for nobody knows what the system kept of it. Its files as they were left then.
    Closed(Option<Box<Watch>>),
}

/// A store that takes writes again, and what is in it.
pub struct Healed {
    /// The store.
    pub store: Box<Store>,
    /// All sessions.
    pub records: Vec<SessionRecord>,
    /// Those of them that made room while the store was in doubt.
    pub displaced: Vec<SessionRecord>,
    /// The values that series keep here.
    pub parameters: Parameters,
    /// Number of the commit that has shown that it takes writes.
    pub sequence: u64,
    /// Number of its last commit of notes.
    pub noted: u64,
}

impl Failed {
    /// A store whose commit or look ended with `error`.
    pub fn of(store: Box<Store>, error: &Error) -> Failed {
        if is_loss(error) { Failed::Lost(store) } else { Failed::closed(*store) }
    }

    fn closed(store: Store) -> Failed {
        Failed::Closed(store.abandon().map(Box::new))
    }

    /// Tries to use it again: `least` is the number of the last commit that was answered.
    pub fn heal(
        self,
        folder: &Path,
        hook: Option<CommitHook>,
        (id, now): (StoreId, Moment),
        least: u64,
    ) -> Result<Healed, (Failed, Error)> {
        match self {
            Failed::Lost(store) => match store.look() {
                Ok(()) => renew(store, now, least).map_err(|(store, error)| (Failed::of(store, &error), error)),
                Err(error) => Err((Failed::Lost(store), error)),
            },
            Failed::Closed(watch) => reopen(folder, hook, (id, now), watch)
                .and_then(|store| renew(store, now, least).map_err(|(store, error)| (Failed::closed(*store), error))),
        }
    }
}

fn reopen(
    folder: &Path,
    hook: Option<CommitHook>,
    (id, now): (StoreId, Moment),
    mut watch: Option<Box<Watch>>,
) -> Result<Box<Store>, (Failed, Error)> {
    let look = |watch: &Option<Box<Watch>>| watch.as_ref().map_or(Ok(()), |watch| watch.look());
    if let Err(error) = look(&watch) {
        return Err((Failed::Closed(watch), error));
    }
    let opened = Store::open_existing(folder, hook, id, now.wall);
    watch.iter_mut().for_each(|watch| watch.renew());
    match (opened, look(&watch)) {
        (Ok(mut store), Ok(())) => {
            store.watch = watch.map(|watch| *watch);
            Ok(Box::new(store))
        }
        (Ok(store), Err(error)) => {
            store.abandon();
            Err((Failed::Closed(watch), error))
        }
        (Err(error), _) => Err((Failed::Closed(watch), error)),
    }
}

/// A commit of nothing shows whether the store takes writes.
fn renew(mut store: Box<Store>, now: Moment, least: u64) -> Result<Healed, (Box<Store>, Error)> {
    let look = |store: &mut Store| {
        if store.sequence()? < least {
            let error = Error::new(Code::FileReplaced).with(FILE);
            return Err(error.with_text(
                "в нём нет того, что сервер уже подтвердил",
                "it lacks what the server has answered already",
            ));
        }
        let sequence = store.commit([], [], &Notes::default(), now)?;
        Ok((store.load()?, store.displaced()?, store.parameters()?, sequence, store.noted()?))
    };
    match look(&mut store) {
        Ok((records, displaced, parameters, sequence, noted)) => {
            Ok(Healed { store, records, displaced, parameters, sequence, noted })
        }
        Err(error) => Err((store, error)),
    }
}
