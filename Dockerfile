# Bases are pinned by digest, so that the same source is the same image. Dependabot proposes newer ones.
# The build runs on the builder's own platform and cross-compiles: the binary is static, so nothing is emulated.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8@sha256:0f063af2d465d8dcae54cce04278ada488b96f77b42449c8d071e47d016cc65a AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X github.com/prometheus/common/version.Version=${VERSION:-$(cat VERSION)} -X github.com/prometheus/common/version.Revision=${REVISION}" \
      -o /out/openai_exporter . \
    && mkdir -p /out/data

# Static, without a shell, and with the certificates that the API's TLS needs.
FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab
ARG VERSION
ARG REVISION=unknown
LABEL org.opencontainers.image.title="openai-exporter" \
      org.opencontainers.image.description="Prometheus exporter for OpenAI usage and costs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/openai-exporter/openai_exporter" \
      org.opencontainers.image.documentation="https://github.com/openai-exporter/openai_exporter/tree/main/docs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/static-debian12:nonroot"
COPY --from=build /out/openai_exporter /bin/openai_exporter
COPY LICENSE /LICENSE
COPY internal/pricing/builtin/LICENSE /LICENSE.genai-prices
# A new volume takes over the owner of the folder it is mounted on.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
EXPOSE 10095
VOLUME ["/data"]
# The state's default directory is data, which makes it /data here. A flag in the entrypoint would stand before every
# command, and beside every other --storage.path.
WORKDIR /
# There is no shell to ask with. On another port or with TLS, give the container a check with its --url.
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/bin/openai_exporter", "healthcheck"]
ENTRYPOINT ["/bin/openai_exporter"]
