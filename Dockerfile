# The controller and the command, as a static binary in an empty image:
#
#   docker build -t sluice .

FROM rust:1.95-alpine AS build
# ring, the TLS provider, compiles a little C.
RUN apk add --no-cache build-base
WORKDIR /sluice
# The whole workspace, as Cargo.toml names it; rust-toolchain.toml stays out, the image is the toolchain.
COPY Cargo.toml Cargo.lock README.md ./
COPY src src
COPY benches benches
COPY examples examples
COPY chaos chaos
COPY models models
COPY sim sim
COPY testenv testenv
# On Alpine Rust links statically against musl.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/sluice/target \
    cargo build --release --locked --package kube-sluice --bin sluice \
    && cp target/release/sluice /usr/local/bin/sluice

FROM scratch
COPY --from=build /usr/local/bin/sluice /sluice
COPY LICENSE /LICENSE
# Nobody, and no name for it: the chart runs as the same.
USER 65532:65532
ENTRYPOINT ["/sluice"]
