// A collector that metrics are pushed to, as a program that tests read: its address first, then a JSON object for each metric of
// each push, {"push":1,"name":"…","kind":"sum","delta":true,…}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sort"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

type server struct {
	collector.UnimplementedMetricsServiceServer
	lock sync.Mutex
	push int
}

type point struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
	Counts []uint64          `json:"counts,omitempty"`
	Bounds []float64         `json:"bounds,omitempty"`
	// Whether the point tells since when it counts.
	Begins bool `json:"begins"`
}

type metric struct {
	Push        int      `json:"push"`
	Header      []string `json:"header"`
	Scope       string   `json:"scope"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Unit        string   `json:"unit"`
	Kind        string   `json:"kind"`
	Delta       bool     `json:"delta"`
	Monotonic   bool     `json:"monotonic"`
	Points      []point  `json:"points"`
}

func labels(attributes []*common.KeyValue) map[string]string {
	found := map[string]string{}
	for _, attribute := range attributes {
		switch value := attribute.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			found[attribute.Key] = value.StringValue
		case *common.AnyValue_BoolValue:
			found[attribute.Key] = fmt.Sprint("bool ", value.BoolValue)
		default:
			found[attribute.Key] = fmt.Sprint(attribute.Value)
		}
	}
	return found
}

func numbers(all []*metrics.NumberDataPoint) []point {
	var points []point
	for _, one := range all {
		value := float64(one.GetAsInt())
		if double, ok := one.Value.(*metrics.NumberDataPoint_AsDouble); ok {
			value = double.AsDouble
		}
		begins := one.StartTimeUnixNano > 0 && one.StartTimeUnixNano <= one.TimeUnixNano
		points = append(points, point{Labels: labels(one.Attributes), Value: value, Begins: begins})
	}
	return points
}

func histograms(all []*metrics.HistogramDataPoint) []point {
	var points []point
	for _, one := range all {
		begins := one.StartTimeUnixNano > 0 && one.StartTimeUnixNano <= one.TimeUnixNano
		points = append(points, point{
			Labels: labels(one.Attributes), Value: one.GetSum(), Counts: one.BucketCounts, Bounds: one.ExplicitBounds, Begins: begins,
		})
	}
	return points
}

const delta = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA

func (s *server) Export(ctx context.Context, request *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.push++
	incoming, _ := metadata.FromIncomingContext(ctx)
	var header []string
	for key, values := range incoming {
		for _, value := range values {
			header = append(header, key+":"+value)
		}
	}
	sort.Strings(header)
	for _, resource := range request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, one := range scope.Metrics {
				told := metric{
					Push: s.push, Header: header, Scope: scope.Scope.GetName(), Name: one.Name, Description: one.Description, Unit: one.Unit,
				}
				switch data := one.Data.(type) {
				case *metrics.Metric_Gauge:
					told.Kind, told.Points = "gauge", numbers(data.Gauge.DataPoints)
				case *metrics.Metric_Sum:
					told.Kind, told.Points = "sum", numbers(data.Sum.DataPoints)
					told.Delta, told.Monotonic = data.Sum.AggregationTemporality == delta, data.Sum.IsMonotonic
				case *metrics.Metric_Histogram:
					told.Kind, told.Points = "histogram", histograms(data.Histogram.DataPoints)
					told.Delta = data.Histogram.AggregationTemporality == delta
				}
				text, err := json.Marshal(told)
				if err != nil {
					panic(err)
				}
				fmt.Println(string(text))
			}
		}
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

func main() {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("collecting at", socket.Addr())
	service := grpc.NewServer()
	collector.RegisterMetricsServiceServer(service, &server{})
	if err := service.Serve(socket); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
