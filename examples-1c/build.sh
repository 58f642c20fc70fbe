#!/bin/sh
# Makes everything that this example needs, from a new key series to a configuration that can be loaded:
#   examples-1c/build.sh [OUT]        OUT is target/example unless given
# BIN names a folder with built programs and the library; without it they are built here.
# What is in OUT already stays: a series is made once, everything else is made anew.
set -eu
cd "$(dirname "$0")/.."
out=${1:-target/example}
series=672B
if [ -z "${BIN:-}" ]; then
    cargo build --release --workspace
    BIN=target/release
fi
vendor=$out/vendor
mkdir -p "$vendor" "$out/protected"

echo "1. the series and its issuing key"
if [ ! -f "$vendor/$series.cryptkey" ]; then
    "$BIN/licenceedit" series "$series" --name "Пример" --out "$vendor"
    "$BIN/licenceedit" issuer --cryptkey "$vendor/$series.cryptkey" --center "$vendor/center"
fi

echo "2. the protected processor"
name=ЗащищеннаяОбработка
cargo run --quiet --package epf --example processor -- \
    "$name" "examples-1c/ExternalDataProcessors/$name/Ext/ObjectModule.bsl" "$out/protected/$name.epf"

echo "3. the datafile"
"$BIN/licenceedit" c "$out/$series.datafile" "$out/protected/*.epf" \
    --serie="$series" --cryptkey="$vendor/$series.cryptkey" -y

echo "4. the template of the component, with the trust anchor inside"
template=$("$BIN/licenceedit" template --library "$BIN/liblicenceaddin.so" --anchor "$vendor/$series.anchor" --out "$out" -y)

echo "5. the configuration"
configuration=$out/configuration
rm -rf "$configuration"
mkdir -p "$configuration"
for part in Configuration.xml CommonModules CommonTemplates Constants DataProcessors Languages; do
    cp -R "examples-1c/$part" "$configuration/"
done
mkdir -p "$configuration/CommonTemplates/КомпонентаСЛК/Ext" "$configuration/CommonTemplates/ДанныеСЛК/Ext"
cp "$template" "$configuration/CommonTemplates/КомпонентаСЛК/Ext/Template.bin"
cp "$out/$series.datafile" "$configuration/CommonTemplates/ДанныеСЛК/Ext/Template.bin"

echo "6. an activation code for five licences"
"$BIN/licenceedit" code --center "$vendor/center" --serie "$series" --licences 5 > "$out/activation-code.txt"

echo "done: $out"
