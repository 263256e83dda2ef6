package apisecret_test

import (
	"testing"

	"segura-enable/internal/apisecret"
)

func BenchmarkResult_Document(b *testing.B) {
	for _, row := range []struct {
		name string
		size int
	}{{"one", 1}, {"10000", 10_000}} {
		b.Run(row.name, func(b *testing.B) {
			result := apisecret.Result{Action: apisecret.Enable, Items: make([]apisecret.Item, row.size)}
			for i := range result.Items {
				result.Items[i] = apisecret.Item{Identifier: apisecret.Identifier(1_000_001 + i), Outcome: apisecret.Enabled, Attempts: 1}
			}
			b.ReportAllocs()
			for b.Loop() {
				if len(result.Document(200<<10, func(text []byte) int { return len(text) })) == 0 {
					b.Fatal("got no document")
				}
			}
		})
	}
}
