//! The vendor's activation service.

fn main() -> std::process::ExitCode {
    center::program::main()
}
