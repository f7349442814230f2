//! `landbridge-testbed`: starts a region, stops it, tells about it. `./dev` is its front door.

fn main() -> std::process::ExitCode {
    testbed::cli::main()
}
