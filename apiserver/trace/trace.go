// Package trace sends a span for each sampled request to an OpenTelemetry collector, as a TracingConfiguration says.
// https://kubernetes.io/docs/concepts/cluster-administration/system-traces/
package trace

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/request"
)

// Configuration is an apiserver.config.k8s.io/v1 TracingConfiguration.
type Configuration struct {
	metav1.TypeMeta
	// Endpoint of the collector, OTLP over gRPC without TLS; localhost:4317 if nil.
	Endpoint *string `json:"endpoint,omitempty"`
	// SamplingRatePerMillion requests are traced; those whose caller traces are anyhow, if the caller may say so.
	SamplingRatePerMillion *int32 `json:"samplingRatePerMillion,omitempty"`
}

const (
	million         = 1_000_000
	defaultEndpoint = "localhost:4317"
	closeTime       = 5 * time.Second
)

var versions = []string{"apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"}

// Parse reads a configuration in YAML or JSON. All that is wrong is in the error.
func Parse(data []byte) (*Configuration, error) {
	config := &Configuration{}
	if err := yaml.UnmarshalStrict(data, config); err != nil {
		return nil, err
	}
	if !slices.Contains(versions, config.APIVersion) || config.Kind != "TracingConfiguration" {
		return nil, fmt.Errorf("it must be of kind TracingConfiguration in %s, not %q in %q", versions[0], config.Kind, config.APIVersion)
	}
	var errs field.ErrorList
	if rate := config.SamplingRatePerMillion; rate != nil && (*rate < 0 || *rate > million) {
		errs = append(errs, field.Invalid(field.NewPath("samplingRatePerMillion"), *rate, "sampling rate must be between 0 and one million"))
	}
	if e := config.Endpoint; e != nil && (strings.ContainsAny(*e, " \t") || *e == "" || strings.HasPrefix(*e, "http")) {
		errs = append(errs, field.Invalid(field.NewPath("endpoint"), *e, "must be host:port, or a gRPC target with the scheme dns or unix"))
	}
	return config, errs.ToAggregate()
}

// Tracer makes the spans: request.Tracer.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
	header   propagation.TextMapPropagator
}

// Open reads a configuration file. The collector is connected to when there is something to tell.
func Open(file string) (*Tracer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	endpoint := defaultEndpoint
	if config.Endpoint != nil {
		endpoint = *config.Endpoint
	}
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint(endpoint), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	sampler := sdktrace.NeverSample()
	if rate := config.SamplingRatePerMillion; rate != nil && *rate > 0 {
		sampler = sdktrace.TraceIDRatioBased(float64(*rate) / million)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sampler)),
		sdktrace.WithResource(sdkresource.NewSchemaless(attribute.String("service.name", "apiserver"))),
	)
	return &Tracer{
		provider: provider, tracer: provider.Tracer("septet/apiserver"),
		header: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}, nil
}

// Close sends what is left, within five seconds.
func (t *Tracer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// trusted are the groups whose word counts when they say that a request is to be traced; from others it is a link only.
var trusted = []string{"system:masters", "system:monitoring"}

// Begin is request.Tracer.
func (t *Tracer) Begin(r *http.Request, s *request.State) (*http.Request, func(code int)) {
	ctx := t.header.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	options := []oteltrace.SpanStartOption{
		oteltrace.WithSpanKind(oteltrace.SpanKindServer), oteltrace.WithTimestamp(s.Received),
		oteltrace.WithAttributes(
			attribute.String("http.method", r.Method), attribute.String("http.target", r.URL.RequestURI()),
			attribute.String("user_agent.original", s.UserAgent), attribute.String("audit-id", s.ID),
		),
	}
	if !slices.ContainsFunc(s.User.Groups, func(g string) bool { return slices.Contains(trusted, g) }) {
		options = append(options, oteltrace.WithNewRoot())
		if said := oteltrace.SpanContextFromContext(ctx); said.IsValid() {
			options = append(options, oteltrace.WithLinks(oteltrace.Link{SpanContext: said}))
		}
	}
	ctx, span := t.tracer.Start(ctx, nameOf(r.Method, &s.Info), options...)
	return r.WithContext(ctx), func(code int) {
		span.SetAttributes(attribute.Int("http.status_code", code))
		if code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// nameOf is a span's name: the request's path with what is particular left out.
func nameOf(method string, info *request.Info) string {
	if !info.IsResource {
		return method
	}
	parts := []string{info.Prefix, info.Group, info.Version}
	if info.Namespace != "" {
		parts = append(parts, "namespaces", "{:namespace}")
	}
	parts = append(parts, info.Resource)
	if info.Name != "" {
		parts = append(parts, "{:name}")
	}
	parts = append(parts, info.Subresource)
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	return method + " /" + strings.Join(parts, "/")
}
