//! The vendor's desk: series, datafiles, codes.

fn main() -> std::process::ExitCode {
    center::desk::main()
}
