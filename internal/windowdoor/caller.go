package windowdoor

import (
	"context"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
	"segura-enable/internal/window"
)

// Caller has windows' calls made by a Runner. What a window's end or the guard disables
// is not subject to the allow-list.
type Caller struct{ Runner *activation.Runner }

var _ window.Caller = Caller{}

// Call implements window.Caller.
func (c Caller) Call(ctx context.Context, orders []window.Order) []window.Done {
	calls := make([]activation.Call, len(orders))
	for at, o := range orders {
		origin := telemetry.Origin{Source: "window", Caller: o.For, Window: o.Window}
		if o.Window == "" {
			origin.Source = "guard"
		}
		calls[at] = activation.Call{
			Action: o.Action, Identifier: o.Identifier, Reason: o.Reason, Origin: origin,
			Before: o.Before, Unrestricted: o.Action == apisecret.Disable, Loud: o.Loud,
		}
	}
	all := make([]window.Done, len(orders))
	for at, done := range c.Runner.Call(ctx, calls) {
		all[at] = window.Done{Item: done.Item, Open: done.Open}
	}
	return all
}
