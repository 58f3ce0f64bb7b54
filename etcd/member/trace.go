package member

import (
	"context"
	"flag"
	"fmt"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	tracesdk "go.opentelemetry.io/otel/sdk/trace"
)

// Tracing says where spans of requests go. It is on with ServerConfig.EnableDistributedTracing.
type Tracing struct {
	// Address is that of an OTLP collector, gRPC without TLS.
	Address string
	// Service and Instance name the member to it; Instance may be empty.
	Service, Instance string
	// PerMillion is how many of a million requests are traced that nobody else has begun to trace.
	PerMillion int
}

func (s *Settings) addTracing(fs *flag.FlagSet) {
	t := &s.Tracing
	fs.BoolVar(&s.EnableDistributedTracing, "enable-distributed-tracing", false, "send spans of requests to an OpenTelemetry collector")
	fs.StringVar(&t.Address, "distributed-tracing-address", t.Address, "the collector's gRPC address")
	fs.StringVar(&t.Service, "distributed-tracing-service-name", t.Service, "service that the spans are said to be of")
	fs.StringVar(&t.Instance, "distributed-tracing-instance-id", "", "instance that the spans are said to be of; unique")
	fs.IntVar(&t.PerMillion, "distributed-tracing-sampling-rate", 0, "requests to trace of a million")
}

const million = 1_000_000

func (t Tracing) check() error {
	if t.PerMillion < 0 || t.PerMillion > million {
		return fmt.Errorf("--distributed-tracing-sampling-rate is %d; it can be 0 to %d", t.PerMillion, million)
	}
	return nil
}

// open returns what the gRPC server needs to know, and what ends it.
func (t Tracing) open() ([]otelgrpc.Option, func(context.Context) error, error) {
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithInsecure(), otlptracegrpc.WithEndpoint(t.Address))
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	names := []attribute.KeyValue{attribute.String("service.name", t.Service)}
	if t.Instance != "" {
		names = append(names, attribute.String("service.instance.id", t.Instance))
	}
	sampler := tracesdk.NeverSample()
	if t.PerMillion > 0 {
		sampler = tracesdk.TraceIDRatioBased(float64(t.PerMillion) / million)
	}
	provider := tracesdk.NewTracerProvider(tracesdk.WithBatcher(exporter), tracesdk.WithResource(resource.NewSchemaless(names...)),
		tracesdk.WithSampler(tracesdk.ParentBased(sampler)))
	options := []otelgrpc.Option{
		otelgrpc.WithTracerProvider(provider),
		otelgrpc.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
	}
	return options, provider.Shutdown, nil // which ends the exporter too
}
