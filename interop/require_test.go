package interop

import (
	_ "github.com/hashicorp/serf/client"

	_ "github.com/ibuki-dev/ibuki/rpc"
)
