//! `licenceedit code`, `block`, `codes`: activation codes in the centre's store.

use std::path::PathBuf;

use licence::activation::Offer;
use licence::code::ActivationCode;
use licence::flags::{self, Flags};
use licence::key::KeyType;
use licence::support::Support;
use licence::{KeyId, KeyNo, SeriesId, Time};

use super::lang_words;
use crate::CRYPTO;
use crate::centre;
use crate::failure::{Console, Failure, Outcome};
use crate::folder;
use crate::store::State;
use crate::terms::Terms;

/// Most codes that one command makes.
const COUNT_LIMIT: i64 = 100_000;
/// Who made, blocked or allowed, in the audit.
const ACTOR: &str = "licenceedit";

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
    /// Until when the product is supported, shown by servers.
    #[arg(long, value_name = "DATE")]
    support_until: Option<Time>,
    /// Kind of that support.
    #[arg(long, value_name = "TEXT")]
    support_type: Option<String>,
    /// Until when the industry solution is supported.
    #[arg(long, value_name = "DATE")]
    industry_support_until: Option<Time>,
    /// For how many days that support is sold.
    #[arg(long, value_name = "N")]
    industry_support_days: Option<u32>,
    /// Kind of that support.
    #[arg(long, value_name = "TEXT")]
    industry_support_type: Option<String>,
    /// Name of the version of the product.
    #[arg(long, value_name = "NAME")]
    product_version_name: Option<String>,
    /// ИНН that the buyer must give.
    #[arg(long)]
    itn: Option<String>,
    /// КПП that the buyer must give.
    #[arg(long)]
    iec: Option<String>,
    /// A mounted identity file counts as a part of the machine: for containers that move to other hosts.
    #[arg(long)]
    identity_file: bool,
    /// The code must be activated before this date.
    #[arg(long, value_name = "DATE")]
    until: Option<Time>,
    /// A parameter of the key, NAME=VALUE; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// How many codes to make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COUNT_LIMIT))]
    count: u32,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

#[derive(clap::Args)]
pub(super) struct Allow {
    /// Number of the key.
    key_no: KeyNo,
    /// Number of the series.
    #[arg(long, alias = "series", value_name = "KeyID")]
    serie: KeyId,
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
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
        let offer = Offer {
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
            parameters: self.parameters.iter().cloned().collect(),
            product_name: self.product.clone().unwrap_or(name.clone()),
            article: self.article.clone(),
            article_name: self.article_name.clone(),
            support: Support {
                support_date: self.support_until,
                support_type: self.support_type.clone(),
                industry_support_date: self.industry_support_until,
                industry_support_period: self.industry_support_days,
                industry_support_type: self.industry_support_type.clone(),
                product_version_name: self.product_version_name.clone(),
            },
            identity_file: self.identity_file,
            until: self.until,
        };
        let terms = Terms { offer, itn: self.itn.clone(), iec: self.iec.clone() };
        terms.check_owner(None)?;
        let centre = folder::centre(&self.center)?;
        centre.store().work(|work| work.add_series(&series, &name))?;
        for code in centre.make_codes(ACTOR, (&series, &terms), self.count)? {
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

impl Block {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let former = folder::existing(&self.center)?.block(ACTOR, self.code)?;
        if former == State::Used {
            console.remark(
                "Код уже обменян на лицензию: она отозвана и перестанет действовать при ближайшем обновлении лицензий.",
                "The code was exchanged for a licence already: it is revoked and ends with the next update of licences.",
            );
        }
        console.result(format_args!("{}\t{}", self.code, state_word(console.lang, State::Blocked)))
    }
}

impl Allow {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let centre = folder::existing(&self.center)?;
        let series = centre.store().work(|work| work.series_of(self.serie))?.series;
        let key = centre.allow(ACTOR, &series, self.key_no)?;
        console.result(format_args!("{}\t{}\t{}", series.key_id, key.key_no, key.allowance))
    }
}

impl List {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let centre = folder::existing(&self.center)?;
        let listed = centre.store().work(|work| {
            let series = self.serie.map(|serie| work.series_of(serie)).transpose()?.map(|series| series.series);
            let mut listed = Vec::new();
            for sold in work.codes(series.as_ref())? {
                let key = sold.key_no.map(|key_no| work.key(&sold.series, key_no)).transpose()?.flatten();
                listed.push((sold, key));
            }
            Ok(listed)
        })?;
        for (sold, key) in listed {
            let state = state_word(console.lang, sold.state);
            let (key_no, when) = key
                .as_ref()
                .map_or((String::new(), String::new()), |key| (key.key_no.to_string(), key.activated.to_string()));
            let offer = &key.as_ref().map_or(&sold.terms, |key| &key.terms).offer;
            let (code, series, number) = (sold.code, sold.series.key_id, u8::from(offer.key_type));
            console.result(format_args!(
                "{code}\t{series}\t{state}\t{number}\t{}\t{key_no}\t{when}",
                offer.licence_count
            ))?;
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
