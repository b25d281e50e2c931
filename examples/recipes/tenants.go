package recipes

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// TenantNode makes a node of one tenant's own fleet: under its own prefix it shares
// nothing with the others but the server. Each tenant costs a subscriber connection,
// leases and sweeps, so this is for a few tens of tenants.
func TenantNode(ctx context.Context, client redis.UniversalClient, tenant string) (*groups.Layer, *presence.Tracker, error) {
	layer, err := groups.New(ctx, client, &groups.Options{Prefix: "presence-" + tenant})
	if err != nil {
		return nil, nil, err
	}
	tracker, err := presence.New(ctx, layer, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("tenant %q: %w", tenant, err)
	}
	return layer, tracker, nil
}

// TenantRoom returns a tenant's room in a fleet that all share, for any number of
// tenants. Two tenants never have the same room, as a tenant's name has no slash.
func TenantRoom(tenant, room string) (string, error) {
	if tenant == "" || strings.Contains(tenant, "/") {
		return "", fmt.Errorf("no name of a tenant: %q", tenant)
	}
	return tenant + "/" + room, nil
}
