//! Protected data in the hands of one object: what 1C code has passed, by alias, and the files of the series beside the server
//! or on a disk. Owns how a name finds its object; never trusts a file that the anchor does not name.

pub mod disk;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use licence::crypto::Provider;
use licence::datafile::{Datafile, Object, Part, Place, same_name};
use licence::error::{Code, Error, Result};
use licence::time::Deadline;

use crate::client::registry::Started;
use server::AtServer;

/// What names the objects of `672B.Extension.datafile` begin with.
const EXTENSION: &str = "Extension";

/// The data of one object.
pub struct Data {
    crypto: Provider,
    loaded: Vec<(String, Arc<Datafile>)>,
    /// Files that were used, so that they stay as long as the object that uses them.
    files: Vec<(Part, Arc<Datafile>)>,
    /// Folders of this computer that may hold files of the series.
    pub folders: Vec<PathBuf>,
}

/// An object and the datafile that it is in.
pub struct Found {
    /// The datafile.
    pub datafile: Arc<Datafile>,
    /// The object in its index.
    pub object: Object,
}

impl Data {
    /// No data yet.
    pub fn new(crypto: Provider) -> Data {
        Data { crypto, loaded: Vec::new(), files: Vec::new(), folders: Vec::new() }
    }

    /// What 1C code has passed, by alias, in order of loading.
    pub fn loaded(&self) -> &[(String, Arc<Datafile>)] {
        &self.loaded
    }

    /// Names of the loaded objects, each with its alias; of one alias only, if it is given.
    pub fn names(&self, alias: Option<&str>) -> Vec<String> {
        let loaded = self.loaded.iter().filter(|(known, _)| alias.is_none_or(|alias| same_name(known, alias)));
        let names = loaded.flat_map(|(alias, datafile)| {
            datafile.index.objects.iter().map(move |object| match alias.as_str() {
                "" => object.name.clone(),
                alias => format!("{alias}.{}", object.name),
            })
        });
        names.collect()
    }

    /// Whether something is loaded under an alias.
    pub fn is_loaded(&self, alias: &str) -> bool {
        self.loaded.iter().any(|(known, _)| same_name(known, alias))
    }

    /// Puts a datafile under an alias, in place of what is there.
    pub fn put(&mut self, alias: &str, datafile: Arc<Datafile>) {
        self.loaded.retain(|(known, _)| !same_name(known, alias));
        self.loaded.push((alias.to_owned(), datafile));
    }

    /// Looks for an object: `Alias.Name` and `Name` in what 1C code has passed, `Extension.Name` in the second file of the
    /// series, `Name` in the first.
    pub fn find(&mut self, started: &Arc<Started>, name: &str, deadline: &Deadline) -> Result<Found> {
        if let Some(found) = self.find_loaded(name) {
            return Ok(found);
        }
        if let Some(own) = after(EXTENSION, name)
            && let Some(found) = self.find_in(started, Part::Extension, own, deadline)?
        {
            return Ok(found);
        }
        self.find_in(started, Part::Main, name, deadline)?.ok_or_else(|| Error::new(Code::NoObject).with(name))
    }

    fn find_loaded(&self, name: &str) -> Option<Found> {
        let by_alias = self.loaded.iter().find_map(|(alias, datafile)| object(datafile, after(alias, name)?));
        by_alias.or_else(|| self.loaded.iter().find_map(|(_, datafile)| object(datafile, name)))
    }

    fn find_in(
        &mut self,
        started: &Arc<Started>,
        part: Part,
        name: &str,
        deadline: &Deadline,
    ) -> Result<Option<Found>> {
        let Some(datafile) = self.file(started, part, deadline)? else { return Ok(None) };
        self.files.retain(|(known, _)| *known != part);
        self.files.push((part, Arc::clone(&datafile)));
        Ok(object(&datafile, name))
    }

    /// A file of the series as it is now: beside the server, else on a disk. One that is there but no good is an error, so that
    /// nobody works with another one unawares.
    fn file(&self, started: &Arc<Started>, part: Part, deadline: &Deadline) -> Result<Option<Arc<Datafile>>> {
        let crypto = self.crypto;
        let key_id = started.wanted.key_id;
        let (key, place): ([u8; 32], Box<dyn Place>) = match AtServer::find(started, part, deadline)? {
            Some(file) => (crypto.sha256(&[b"server", &file.stamp.0]), Box::new(file)),
            None => match disk::find(&self.folders, key_id, part)? {
                Some(file) => {
                    let mark = format!("{} {:?}", file.name(), file.mark);
                    (crypto.sha256(&[b"disk", mark.as_bytes()]), Box::new(file))
                }
                None => return Ok(None),
            },
        };
        let datafile = started.datafile(key, || {
            let datafile = Datafile::at(crypto, place, Some(deadline))?;
            check(started, &datafile, &datafile.place().name())?;
            Ok(datafile)
        })?;
        datafile.revocations().into_iter().for_each(|list| started.learn(list));
        Ok(Some(datafile))
    }
}

/// Whether a datafile is one of the started series under its anchor; `place` names it in errors.
pub fn check(started: &Started, datafile: &Datafile, place: &str) -> Result<()> {
    let wanted = started.wanted;
    if datafile.series.key_id != wanted.key_id {
        let series = datafile.series.key_id;
        let texts = (format!("данные серии {series}"), format!("data of series {series}"));
        return Err(Error::new(Code::BadArgument).with(place).with_text(texts.0, texts.1));
    }
    match wanted.anchor {
        Some(root) if root == datafile.series.root => Ok(()),
        Some(_) => Err(Error::new(Code::AnchorConflict).with(wanted.key_id).with(place)),
        None => Err(Error::new(Code::NoAnchor).with(wanted.key_id)),
    }
}

fn object(datafile: &Arc<Datafile>, name: &str) -> Option<Found> {
    let object = datafile.object(name)?.clone();
    Some(Found { datafile: Arc::clone(datafile), object })
}

/// What follows `head` and a dot in a name, without regard to case.
fn after<'a>(head: &str, name: &'a str) -> Option<&'a str> {
    let (own, rest) = name.split_at_checked(head.len())?;
    rest.strip_prefix('.').filter(|_| same_name(own, head))
}
