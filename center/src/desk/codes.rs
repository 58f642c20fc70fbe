//! `licenceedit code`, `block`, `codes`: activation codes in the centre's store.

use std::path::{Path, PathBuf};

use licence::code::ActivationCode;
use licence::flags::{self, Flags};
use licence::key::KeyType;
use licence::{KeyId, SeriesId, Time};

use super::{lang_words, now};
use crate::CRYPTO;
use crate::centre;
use crate::failure::{Console, Failure, Outcome};
use crate::store::{FILE, State, Store};
use crate::terms::Terms;

/// Most codes that one command makes.
const COUNT_LIMIT: i64 = 100_000;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Type {
    Main,
    Additional,
    Demo,
}

#[derive(clap::Args)]
pub(super) struct New {
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
    /// Number of the series.
    #[arg(long, alias = "series", value_name = "KeyID")]
    serie: KeyId,
    /// How many seats the licence gives.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    licences: u32,
    /// Type of the key.
    #[arg(long = "type", value_enum, default_value_t = Type::Main)]
    key_type: Type,
    /// Period in days from the start; 0: without end.
    #[arg(long, value_name = "N", default_value_t = 0)]
    days: u32,
    /// Start of the period (2026-01-31); else the moment of activation.
    #[arg(long, value_name = "DATE")]
    start: Option<Time>,
    /// Functionality flags.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    flags: Vec<u8>,
    /// Version of the product that the licence covers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    product_version: u16,
    /// Service type.
    #[arg(long, value_name = "N", default_value_t = 0)]
    service_type: u8,
    /// Name of the product; else that of the series.
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Article.
    #[arg(long, value_name = "A", default_value = "")]
    article: String,
    /// Name of the article.
    #[arg(long, value_name = "NAME", default_value = "")]
    article_name: String,
    /// ИНН that the buyer must give.
    #[arg(long)]
    itn: Option<String>,
    /// КПП that the buyer must give.
    #[arg(long)]
    iec: Option<String>,
    /// How many codes to make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COUNT_LIMIT))]
    count: u32,
}

#[derive(clap::Args)]
pub(super) struct Block {
    /// The code.
    code: ActivationCode,
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct List {
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
    /// Codes of this series only.
    #[arg(long, alias = "series", value_name = "KeyID")]
    serie: Option<KeyId>,
}

impl New {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let (series, name) = self.series()?;
        let range = flags::COUNT;
        let flags = Flags::of(&self.flags).ok_or_else(|| {
            Failure::told(format!("--flags: номера от 1 до {range}."), format!("--flags: numbers from 1 to {range}."))
        })?;
        let terms = Terms {
            key_type: match self.key_type {
                Type::Main => KeyType::Main,
                Type::Additional => KeyType::Additional,
                Type::Demo => KeyType::Demo,
            },
            service_type: self.service_type,
            licence_count: self.licences,
            product_version: self.product_version,
            start_date: self.start,
            period: self.days,
            flags,
            product_name: self.product.clone().unwrap_or(name.clone()),
            article: self.article.clone(),
            article_name: self.article_name.clone(),
            itn: self.itn.clone(),
            iec: self.iec.clone(),
        };
        let store = Store::open(&self.center)?;
        store.add_series(&series, &name)?;
        for code in store.add_codes(CRYPTO, &series, &terms, (self.count, now()))? {
            console.result(code)?;
        }
        Ok(())
    }

    /// The series as its issuing key file in the centre's folder says it; needs no passphrase.
    fn series(&self) -> Outcome<(SeriesId, String)> {
        let issuers = centre::issuer_files(CRYPTO, &self.center)?;
        let mut of_series = issuers.iter().map(|(_, file)| file).filter(|file| file.series().key_id == self.serie);
        match (of_series.next(), of_series.next()) {
            (Some(file), None) => Ok((file.series(), file.name().to_owned())),
            (found, _) => {
                let (folder, serie) = (self.center.display(), self.serie);
                Err(match found {
                    None => Failure::told(
                        format!("{folder}: нет ключа выпуска серии {serie}. Создайте его: licenceedit issuer."),
                        format!("{folder}: there is no issuing key of series {serie}. Make one: licenceedit issuer."),
                    ),
                    Some(_) => Failure::told(
                        format!("{folder}: несколько ключей выпуска серии {serie}; оставьте один."),
                        format!("{folder}: several issuing keys of series {serie}; leave one."),
                    ),
                })
            }
        }
    }
}

/// A store that is only looked at is not made by looking.
fn existing(folder: &Path) -> Outcome<Store> {
    let path = folder.join(FILE);
    match std::fs::metadata(&path) {
        Ok(_) => Ok(Store::open(folder)?),
        Err(e) => Err(licence::host::files::failed(&path, &e).into()),
    }
}

impl Block {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let former = existing(&self.center)?.block(self.code)?;
        if former == State::Used {
            console.remark(
                "Код уже обменян на лицензию: она действует, пока не отозвана (licenceedit c --revoked).",
                "The code was exchanged for a licence already: it works until it is revoked (licenceedit c --revoked).",
            );
        }
        console.result(format_args!("{}\t{}", self.code, state_word(console.lang, State::Blocked)))
    }
}

impl List {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        for listed in existing(&self.center)?.codes(self.serie)? {
            let sold = &listed.sold;
            let state = state_word(console.lang, sold.state);
            let number = u8::from(sold.terms.key_type);
            let (key_no, when) = listed
                .activated
                .map_or((String::new(), String::new()), |(key_no, when)| (key_no.to_string(), when.to_string()));
            let (code, series, count) = (sold.code, sold.series.key_id, sold.terms.licence_count);
            console.result(format_args!("{code}\t{series}\t{state}\t{number}\t{count}\t{key_no}\t{when}"))?;
        }
        Ok(())
    }
}

fn state_word(lang: licence::Lang, state: State) -> &'static str {
    lang_words(
        lang,
        match state {
            State::New => ("новый", "new"),
            State::Used => ("использован", "used"),
            State::Blocked => ("заблокирован", "blocked"),
        },
    )
}
