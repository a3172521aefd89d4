# syntax=docker/dockerfile:1
# The build runs on the builder's own platform and cross-compiles: the binary is static, so nothing is emulated.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8 AS build
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
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="openai-exporter" \
      org.opencontainers.image.description="Prometheus exporter for OpenAI usage and costs" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/openai_exporter /bin/openai_exporter
COPY LICENSE /LICENSE
# A new volume takes over the owner of the folder it is mounted on.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
EXPOSE 10095
VOLUME ["/data"]
# In the entrypoint, so that flags given to the container are added to it and do not replace it.
ENTRYPOINT ["/bin/openai_exporter", "--storage.path=/data"]
